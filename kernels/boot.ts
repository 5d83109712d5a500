/** A cold boot, from QEMU's start to an agent that answers; bounded, and explained where it fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentFunctions, Hello, HostFunctions } from './agent/protocol.ts';
import { type Channel, openChannel } from './channel.ts';
import { findSplat } from './console.ts';
import { PathproofError } from './errors.ts';
import type { MachineConfig } from './machine.ts';
import { Qemu } from './qemu.ts';
import { type Guest, machineOf } from './template.ts';

/** Milliseconds that a boot may take: TCG on a busy machine is ten times slower than a quiet one, and -icount slower still. */
const PATIENCE = { functional: 150_000, exact: 400_000 };

export interface Booted {
	qemu: Qemu;
	channel: Channel<AgentFunctions>;
	hello: Hello;
	/** from QEMU's start to the agent's first word */
	bootMs: number;
}

export async function boot(
	guest: Guest,
	memory: MachineConfig['memory'],
	patience = PATIENCE[guest.profile],
): Promise<Booted> {
	const qemu = new Qemu(guest.kernel.id, machineOf(guest, memory, false));
	const { promise: ready, resolve } = Promise.withResolvers<Hello>();
	const host: HostFunctions = { ready: resolve, processOutput: () => {}, processEnded: () => {} };
	const channel = openChannel<AgentFunctions, HostFunctions>(qemu.agent, host);
	const { promise: late, reject } = Promise.withResolvers<never>();
	const timer = setTimeout(() => reject(notReady(qemu, patience)), patience);
	const broken = qemu.gone.then((error) => Promise.reject(duringBoot(error)));
	const stopped = stoppedByHypervisor(qemu);
	try {
		await Promise.race([qemu.qmp.ready(), broken, late]);
		const hello = await Promise.race([ready, broken, late, stopped]);
		return { qemu, channel, hello, bootMs: performance.now() - qemu.startedAt };
	} catch (error) {
		// QEMU that ends resets its sockets a moment before it is reaped: its own words tell more.
		const explained = await Promise.race([broken.catch((why: unknown) => why), sleep(200, error)]);
		await qemu.kill();
		throw explained;
	} finally {
		clearTimeout(timer);
		broken.catch(() => {}); // reported above, or of a guest that has served
	}
}

/** A virtual CPU that the hypervisor cannot run stops the guest within a second: `internal-error`. */
async function stoppedByHypervisor(qemu: Qemu): Promise<never> {
	for (;;) {
		const gone = await Promise.race([qemu.qmp.event('STOP').then(() => false), qemu.gone.then(() => true)]);
		if (gone) return new Promise(() => {});
		const { status } = await qemu.qmp.execute<{ status: string }>('query-status');
		if (status === 'internal-error') throw qemu.error(`${qemu.config.accel} cannot run this kernel: ${status}`, 'boot');
	}
}

function notReady(qemu: Qemu, patience: number): PathproofError {
	const splat = findSplat(qemu.console.text);
	const seconds = Math.round(patience / 1000);
	return qemu.error(
		splat ? `the kernel is stuck after: ${splat.line}` : `no word from the guest's agent within ${seconds} s`,
		splat?.kind === 'panic' ? 'panic' : 'ready',
		{ hint: 'the console below says how far it came; another kernel: npx pathproof kernels ls' },
	);
}

/** A guest that ends before its agent speaks has failed to boot, whatever ended it. */
function duringBoot(error: PathproofError): PathproofError {
	if (error.stage !== 'lost') return error;
	const { shortMessage, ...details } = error.toJSON();
	return new PathproofError(`${shortMessage} before its agent was ready`, { ...details, stage: 'boot' });
}
