/** How long a guest takes: cold, and as a fork; measured from the start of the QEMU process, in milliseconds of wall time. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentFunctions, HostFunctions } from './agent/protocol.ts';
import { boot } from './boot.ts';
import { runDir } from './cache.ts';
import { openChannel } from './channel.ts';
import { connectPool } from './client.ts';
import { startPool } from './pool.ts';
import { type Guest, ramPath, restore } from './template.ts';
import type { Template } from './templates.ts';

/** One cold boot to the agent's first word, its memory in a file as a template's is. */
export async function coldBoot(guest: Guest): Promise<number> {
	const dir = await mkdtemp(join(runDir().dir, 'cold-'));
	try {
		const { qemu, bootMs } = await boot(guest, { kind: 'template', path: ramPath(dir) });
		await qemu.kill();
		return bootMs;
	} finally {
		await rm(dir, { recursive: true });
	}
}

/** One restore to the first answered call, and the memory (MiB) that the fork then owns. */
export async function warmFork({
	guest,
	dir,
}: Pick<Template, 'guest' | 'dir'>): Promise<{ ms: number; privateMiB: number }> {
	const qemu = await restore(guest, dir, { kind: 'fork', path: ramPath(dir) });
	const nobody: HostFunctions = { ready: () => {}, processOutput: () => {}, processEnded: () => {} };
	const channel = openChannel<AgentFunctions, HostFunctions>(qemu.agent, nobody);
	try {
		await qemu.qmp.execute('cont');
		await channel.remote.ping();
		return { ms: performance.now() - qemu.startedAt, privateMiB: await privateMemory(qemu.pid!) };
	} finally {
		channel.close();
		await qemu.kill();
	}
}

/** A serial suite of one-call tests: how long each waited for its fork. */
export async function serialSuite(kernel: string, tests: number, spares: number, lab?: string): Promise<number[]> {
	await using pool = await startPool({ spares });
	await using client = await connectPool(pool.socket);
	const waits: number[] = [];
	for (let test = 0; test < tests; test++) {
		await using vm = await client.fork({ kernel, lab });
		waits.push(vm.waitMs);
		await vm.exec(['true']);
	}
	return waits;
}

/** MiB that a process has written and shares with nobody, from smaps_rollup. */
export async function privateMemory(pid: number): Promise<number> {
	const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
	const kB = Number(/^Private_Dirty:\s+(\d+) kB/m.exec(rollup)?.[1]);
	return kB / 1024;
}

export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length / 2;
	return sorted.length % 2 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
