/**
 * What a container that goes leaves to the kernel: connections that are still being closed, and sockets that its processes gave to
 * others. None of them may go on in an address that is somebody else's next.
 */
import type { ContainerSpec } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { addressesOf } from '../forward/tables.ts';
import { runIproute2 } from '../ip/iproute2.ts';
import type { Share } from './spec.ts';

/**
 * What to type after `ss` for the sockets of a container: those at its own addresses, and those at its ports of addresses that it
 * shares. Not those in TIME_WAIT, which nobody can send by: they keep what is late of an old connection out of a new one. A TCP socket
 * that is bound, and neither listens nor is connected, the kernel shows since 6.8 (91051f003948): before, one that a container has given
 * to another outlives it unseen.
 */
export function ssArgs(spec: ContainerSpec): string[][] {
	const shared = (protocol: Share['protocol']) =>
		spec
			.identity!.shares.filter((share) => share.protocol === protocol)
			.map(({ address, port }) => `( src ${bracketed(address)} and sport = :${port} )`);
	const groups = [
		{ protocols: ['--tcp', '--udp'], places: addressesOf(spec).map((address) => `src ${bracketed(address)}`) },
		{ protocols: ['--tcp'], places: shared('tcp') },
		{ protocols: ['--udp'], places: shared('udp') },
	];
	return groups
		.filter(({ places }) => places.length)
		.map(({ protocols, places }) => [
			...['--no-header', '--numeric', '--all', '--extended', ...protocols],
			...['state', 'all', 'exclude', 'time-wait'],
			...`( ${places.join(' or ')} )`.split(' '),
		]);
}

/** Throws a DatapathError where a process has one of them: it may have been given it by the container, or have left that. */
export async function refuseHeld(spec: ContainerSpec): Promise<void> {
	for (const args of ssArgs(spec)) {
		if (!heldSockets(await ss(args)).length) continue;
		// whose it is takes a look at each open file of each process
		const [held] = heldSockets(await ss(['--processes', ...args]));
		if (held)
			throw new DatapathError(`${held.who} still has the socket ${held.socket} of ${spec.name}`, {
				hint: "end it: until then the address is nobody else's",
			});
	}
}

/**
 * Those that nobody holds: what has still to be sent or acknowledged is given up, and the other end is told by a reset (SOCK_DESTROY: 4.5,
 * CONFIG_INET_DIAG_DESTROY). Where the kernel has the bug `orphan-abort` (kernels/bugs.ts), they are silent from then on, but stay, and
 * nobody is told. Throws a DatapathError as `refuseHeld` does.
 */
export async function endConnections(spec: ContainerSpec): Promise<void> {
	for (const args of ssArgs(spec)) await ss(['--kill', ...args]);
	await refuseHeld(spec);
}

interface HeldSocket {
	/** its own address and port */
	socket: string;
	who: string;
}

/** Of what `ss` prints: those that have an inode, which is gone once the last that had it open has closed it. */
export function heldSockets(text: string): HeldSocket[] {
	const lines = text.split('\n').filter((line) => /\bino:[1-9]/.test(line));
	return lines.map((line) => {
		const user = /users:\(\("(?<name>.*?)",pid=(?<pid>\d+)/.exec(line)?.groups;
		return {
			socket: /\S+:\d+(?=\s)/.exec(line)?.[0] ?? line,
			// or it is on its way from one process to another
			who: user ? `${user.name} (pid ${user.pid})` : 'a process',
		};
	});
}

async function ss(args: readonly string[]): Promise<string> {
	const { status, stdout, stderr } = await runIproute2('ss', args);
	if (status === 0) return stdout;
	throw new DatapathError(`ss ${args.join(' ')} failed`, { log: stderr });
}

function bracketed(address: string): string {
	return address.includes(':') ? `[${address}]` : address;
}
