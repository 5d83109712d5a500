/** The driver of a guest's NICs (`wire.ts`): whether a kernel can have it, and its insertion. */
import type { AgentFunctions } from './agent/protocol.ts';
import type { Channel } from './channel.ts';
import { PathproofError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { type ModuleIndex, moduleIndex } from './modules.ts';
import { type Nics, wiresOf } from './wire.ts';

const DRIVER = 'virtio_net';

/** False where it is known before a boot. `index` is null for a kernel whose modules are gone: Debian builds the driver as one. */
export function mayHaveNics(index: ModuleIndex | null): boolean {
	if (!index) return false;
	// Where the packages do not say what is built in, the boot will tell.
	return index.builtin.size === 0 || index.builtin.has(DRIVER) || index.files.has(DRIVER);
}

/** Throws stage `call` before a boot that would be in vain. */
export function demandDriver(kernel: Kernel): void {
	if (!mayHaveNics(moduleIndex(kernel))) throw noDriver(kernel, 'neither a module nor built in');
}

/**
 * Inserts the driver, as nothing else in a guest without udev does: once, before the snapshot, so that no fork pays for it. Throws stage
 * `call` where the NICs do not show.
 */
export async function bringNics(agent: Channel<AgentFunctions>['remote'], kernel: Kernel, nics: Nics): Promise<void> {
	// It fails where the driver is built in and the guest has no list of that: whether the NICs are there decides.
	const { stderr } = await agent.run(['modprobe', DRIVER]);
	const { stdout } = await agent.run(['sh', '-c', 'cat /sys/class/net/*/address']);
	const there = stdout.split('\n');
	const lacking = wiresOf(nics).flatMap(({ host, peer }) => [host, peer].filter((mac) => !there.includes(mac)));
	if (lacking.length) throw noDriver(kernel, stderr.trim() || `no device has the address ${lacking.join(' or ')}`);
}

function noDriver(kernel: Kernel, why: string): PathproofError {
	return new PathproofError(`linux ${kernel.id} cannot have NICs, as it lacks ${DRIVER}: ${why}`, {
		stage: 'call',
		kernel: kernel.id,
		hint: 'a kernel that has its modules (npx pathproof kernels ls), or in a test: await requires("virtio-net")',
	});
}
