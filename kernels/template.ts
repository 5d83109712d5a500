/**
 * Templates: a kernel booted once to agent-ready and saved, so that every test's guest is a fork of it. The guest's RAM is a file
 * that forks map copy-on-write; the rest of its state is a small file beside it. As Kata's templates do, saving and loading
 * pass the RAM over (`x-ignore-shared`).
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Hello } from './agent/protocol.ts';
import { keyOf } from './cache.ts';
import { PathproofError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { type AgentPort, type MachineConfig, qemuArguments } from './machine.ts';
import { Qemu } from './qemu.ts';
import { copySparse, digestOf } from './sparse.ts';
import type { Accel, Profile } from './vm.ts';
import type { Nics } from './wire.ts';

/** Everything a guest of one kernel is made of, but for its memory. */
export interface Guest {
	kernel: Kernel;
	profile: Profile;
	accel: Accel;
	/** e.g. `10.0.2` */
	qemu: string;
	base: string[];
	memoryMiB: number;
	initrd: string;
	root: string | null;
	kernelArguments: string[];
	agentPort: AgentPort;
	/** part of every key only where there are any */
	nics?: Nics;
	/** keys of the initramfs and the root: what the paths above stand for */
	content: string;
}

/** What a template's directory tells of itself. */
export interface TemplateRecord {
	hello: Hello;
	/** SHA-256 of `ram` and `state`, by content */
	ramDigest: string;
	stateDigest: string;
	/** milliseconds from QEMU's start to the agent's first answer; for a lab, the time its building took */
	bootMs: number;
	/** plain data that a lab's builder left for those who fork it */
	data: unknown;
}

const RAM = 'ram';
const STATE = 'state';
const RECORD = 'template.json';
const CONSOLE = 'console.txt';

/**
 * A snapshot fits one kernel, root, initramfs, QEMU, accelerator, CPU model and device list: its key covers them all, by content
 * and not by path.
 */
export function templateKey(guest: Guest): string {
	const pathless: Guest = {
		...guest,
		base: guest.base.filter((word) => !word.startsWith('/')),
		initrd: 'initrd',
		root: guest.root && 'root',
	};
	const hostCpu = guest.accel === 'kvm' ? cpus()[0]?.model : null;
	const command = qemuArguments(machineOf(pathless, { kind: 'fork', path: 'ram' }, true));
	return keyOf(command, guest.kernel.digest, guest.content, guest.qemu, hostCpu);
}

export function machineOf(guest: Guest, memory: MachineConfig['memory'], incoming: boolean): MachineConfig {
	const { base, profile, accel, memoryMiB, initrd, root, kernelArguments, agentPort, nics } = guest;
	return { base, profile, accel, memoryMiB, memory, initrd, root, kernelArguments, agentPort, nics, incoming };
}

/** Start QEMU with a template's state loaded and paused. Throws stage `restore`, with QEMU's own words. */
export async function restore(guest: Guest, dir: string, memory: MachineConfig['memory']): Promise<Qemu> {
	const qemu = new Qemu(guest.kernel.id, machineOf(guest, memory, true));
	try {
		await qemu.qmp.ready();
		await ignoreShared(qemu);
		await qemu.qmp.execute('migrate-incoming', { uri: `file:${join(dir, STATE)}` });
		await qemu.qmp.until<{ status: string }>('query-status', ({ status }) => status !== 'inmigrate');
		return qemu;
	} catch (cause) {
		const why = await Promise.race([qemu.gone, soon(500)]);
		await qemu.kill();
		throw qemu.error(
			`a snapshot of linux ${guest.kernel.id} cannot be restored: ${why?.shortMessage ?? cause}`,
			'restore',
			{
				cause,
				hint: 'run it again; a snapshot that is found corrupted is remade',
			},
		);
	}
}

/** Save a stopped or running guest whose RAM is a template's file: the state goes beside it, and QEMU ends. */
export async function save(
	qemu: Qemu,
	dir: string,
	record: Omit<TemplateRecord, 'ramDigest' | 'stateDigest'>,
): Promise<void> {
	await writeState(qemu, dir);
	await writeFile(join(dir, CONSOLE), qemu.console.text);
	await qemu.kill();
	const whole: TemplateRecord = {
		...record,
		ramDigest: await digestOf(join(dir, RAM)),
		stateDigest: await digestOf(join(dir, STATE)),
	};
	await writeFile(join(dir, RECORD), JSON.stringify(whole));
}

/** Save a fork with all its memory, so that it can be resumed when its template is gone. QEMU goes on, paused. */
export async function saveWhole(qemu: Qemu, dir: string): Promise<void> {
	await writeState(qemu, dir);
	await writeFile(join(dir, CONSOLE), qemu.console.text);
}

export const ramPath = (dir: string) => join(dir, RAM);

/** A copy of a template's memory, for a guest that becomes a template of its own. */
export async function copyRam(from: string, to: string): Promise<string> {
	await copySparse(join(from, RAM), join(to, RAM));
	return join(to, RAM);
}

export async function readTemplate(dir: string): Promise<TemplateRecord> {
	return JSON.parse(await readFile(join(dir, RECORD), 'utf8')) as TemplateRecord;
}

export async function templateConsole(dir: string): Promise<string> {
	return readFile(join(dir, CONSOLE), 'utf8');
}

/** Whether a template still is what was saved. Reads all of it: about 0.2 s. */
export async function isWhole(dir: string): Promise<boolean> {
	try {
		const record = await readTemplate(dir);
		const { size } = await stat(join(dir, RAM));
		return (
			size > 0 &&
			record.stateDigest === (await digestOf(join(dir, STATE))) &&
			record.ramDigest === (await digestOf(join(dir, RAM)))
		);
	} catch (error) {
		// Missing files and torn JSON are what a corrupted template looks like.
		if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return false;
		throw error;
	}
}

async function writeState(qemu: Qemu, dir: string): Promise<void> {
	await qemu.qmp.execute('stop');
	await ignoreShared(qemu);
	await qemu.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 10 ** 11 });
	await qemu.qmp.execute('migrate', { uri: `file:${join(dir, STATE)}` });
	const { status, 'error-desc': why } = await qemu.qmp.until<{ status: string; 'error-desc'?: string }>(
		'query-migrate',
		({ status }) => status === 'completed' || status === 'failed' || status === 'cancelled',
	);
	if (status !== 'completed') {
		throw new PathproofError(`QEMU cannot save linux ${qemu.kernelId}: ${why ?? status}`, {
			stage: 'snapshot',
			kernel: qemu.kernelId,
			hint: 'is the disk of the cache full? npx pathproof doctor',
		});
	}
}

/** A template's RAM is shared with its file and so left out; a fork's is its own and so saved. Both ends must agree. */
async function ignoreShared(qemu: Qemu): Promise<void> {
	await qemu.qmp.execute('migrate-set-capabilities', {
		capabilities: [{ capability: 'x-ignore-shared', state: true }],
	});
}

function soon(ms: number): Promise<undefined> {
	return new Promise((resolve) => setTimeout(resolve, ms, undefined));
}
