/**
 * Which hops a packet takes, by the container's device and the way of forwarding. What is put in for the words in capitals:
 *
 * | word | is |
 * | --- | --- |
 * | `WEB`, `API` | the container that sends or receives; the other one of its host |
 * | `IP` | `ip6` or `ip` |
 * | `TC` | how a program hangs at a device: `tcx`, and `clsact` on kernels without (before 6.6) |
 * | `PROGRAM → VERDICT` | who judges what the container sends, and how, by the way of forwarding |
 */
import type { Device, Forward } from '../../impl/container.ts';

export type Family = 4 | 6;
export type Direction = 'out' | 'in' | 'between';

const SLAVE_SENDS = 'WEB:eth0 egress[tcx slave_guard → next], WEB:eth0 xmit';
const UPLINK_SENDS = 'host:eth0 egress[tcx uplink_guard → next]';

/** From the container's socket to where the host has the packet. */
const LEAVES: Record<Device, string> = {
	none: '',
	veth: 'WEB:eth0 xmit, host backlog, host:WEB receive, host:WEB ingress[TC PROGRAM → VERDICT]',
	'netkit-l2': 'WEB:eth0 xmit, host:WEB ingress[netkit PROGRAM → VERDICT]',
	'netkit-l3': 'WEB:eth0 xmit, host:WEB ingress[netkit PROGRAM → VERDICT]',
	'ipvlan-l2': `${SLAVE_SENDS}, ${UPLINK_SENDS}`,
	// routed by the host's stack, where a guard of ours is at its netfilter
	'ipvlan-l3': `${SLAVE_SENDS}, host netfilter output, ${UPLINK_SENDS}`,
	'ipvlan-l3s': `${SLAVE_SENDS}, host netfilter output, ${UPLINK_SENDS}`,
};

/** Netkit judges in the sender's own call: only what it passes to the host waits for a softirq. */
const PASSED: Partial<Record<Device, string>> = {
	'netkit-l2': 'host backlog, host:WEB receive',
	'netkit-l3': 'host backlog, host:WEB receive',
};

/** From one container's program into the other container, past the host's stack. */
const DELIVERS: Partial<Record<Device, string>> = {
	veth: 'API:eth0 receive',
	// redirect_peer is legal at tc's ingress, and netkit's programs run in transmit
	'netkit-l2': 'host:API xmit, API backlog, API:eth0 receive',
	'netkit-l3': 'host:API xmit, API backlog, API:eth0 receive',
};

/** Unicast from the wire into the container, where the device is the uplink's own slave. */
const SLAVE_RECEIVES: Partial<Record<Device, string>> = {
	'ipvlan-l2': 'FROM_WIRE, WEB:eth0 ingress[tcx slave_ingress → next], WEB:eth0 receive',
	'ipvlan-l3': 'FROM_WIRE, WEB:eth0 ingress[tcx slave_ingress → next], WEB:eth0 receive',
	// by the host's stack, up to a hook of its netfilter's
	'ipvlan-l3s': 'FROM_WIRE, host IP receive, host netfilter input',
};
const FROM_WIRE = 'host:eth0 ingress[tcx uplink_ingress → next], host:eth0 ingress[tcx ingress_peer → next]';

interface Forwarding {
	program: string;
	verdict: 'pass' | 'redirect' | 'next';
	/** of the host, on the way out */
	out: string;
	/** of the host and into the container, on the way in */
	in: string;
	between: (device: Device) => string;
}

const PAST = {
	verdict: 'redirect',
	out: '',
	in: 'host:eth0 ingress[TC ingress_peer → redirect], WEB:eth0 receive',
} as const;

const FORWARDING: Record<Exclude<Forward, 'native'>, Forwarding> = {
	stack: {
		program: 'egress_guard',
		verdict: 'pass',
		out: 'host IP receive, host IP forward',
		in: 'host IP receive, host IP forward, host:WEB xmit, WEB backlog, WEB:eth0 receive',
		between: () => 'host IP receive, host IP forward, host:API xmit, API backlog, API:eth0 receive',
	},
	redirect: { ...PAST, program: 'egress_neigh', between: (device) => DELIVERS[device]! },
	fib: { ...PAST, program: 'egress_fib', between: (device) => DELIVERS[device]! },
	// out of the other container's own device, as if that had sent it: its program has the last word
	'redirect-egress': {
		...PAST,
		program: 'egress_neigh',
		between: (device) => `${LEAVES[device].replaceAll('WEB', 'API')}, ${DELIVERS[device]}`,
	},
};

export interface Row {
	device: Device;
	forward: Forward;
}

export interface Column {
	direction: Direction;
	family: Family;
}

/** What a kernel has or lacks, where paths differ by it. */
export interface KernelWays {
	/** TCX links */
	tcx: boolean;
}

/** All hops of unicast but the last, which is the receiving socket's. `back`: what the receiver answers. */
export function wayOf(row: Row, { direction, family }: Column, kernel: KernelWays, back = false): string {
	const turned = back && direction !== 'between' ? (direction === 'out' ? 'in' : 'out') : direction;
	const way = fill(unicast(row, turned), row, family, kernel);
	return back && direction === 'between' ? swap(way) : way;
}

function unicast({ device, forward }: Row, direction: Direction): string {
	const wire = { out: 'host:eth0 xmit, peer:eth0 receive', in: 'peer:eth0 xmit, host:eth0 receive' };
	if (device === 'none')
		return {
			out: wire.out,
			in: `${wire.in}, host IP receive`,
			between: 'host:lo xmit, host backlog, host:lo receive, host IP receive',
		}[direction];
	if (forward === 'native')
		return direction === 'out' ? join(LEAVES[device], wire.out) : join(wire.in, SLAVE_RECEIVES[device]!);
	const host = FORWARDING[forward];
	const passed = host.verdict === 'pass' ? (PASSED[device] ?? '') : '';
	if (direction === 'in') return join(wire.in, host.in);
	const rest = direction === 'out' ? join(host.out, wire.out) : host.between(device);
	return join(LEAVES[device], passed, rest);
}

/** Where a datagram ends that does not arrive: all its hops, and what the last of them gives as the reason. */
export interface Ending {
	way: string;
	/** the kernel's names, newest first; behind them the functions that drop, for kernels that give none */
	reasons: readonly string[];
}

/** A group's datagram goes no further than its link, and what a container sends not even that far. null: it is delivered. */
export function multicastEnd(row: Row, { direction, family }: Column, kernel: KernelWays): Ending | null {
	const { device, forward } = row;
	if (device === 'none') return null;
	const slave = device.startsWith('ipvlan-');
	if (direction !== 'in') {
		const way = slave ? 'WEB:eth0 egress[tcx slave_guard → drop]' : LEAVES[device].replace('VERDICT', 'drop');
		return {
			way: fill(way, row, family, kernel),
			reasons: DROPPED_BY[slave ? 'slave' : device === 'veth' ? 'tc' : 'netkit'],
		};
	}
	const wire = 'peer:eth0 xmit, host:eth0 receive';
	const judged = slave ? FROM_WIRE : forward === 'stack' ? '' : 'host:eth0 ingress[TC ingress_peer → next]';
	return { way: fill(join(wire, judged, 'host IP receive'), row, family, kernel), reasons: NOT_A_MEMBER };
}

/** By what runs the program that drops. */
const DROPPED_BY = {
	tc: ['TC_INGRESS', '__netif_receive_skb_core'],
	netkit: ['netkit_xmit'],
	slave: ['TC_EGRESS'],
} as const;

/** The host has not joined the group. */
const NOT_A_MEMBER = ['ip6_mc_input', 'ip_rcv_finish_core', 'ip_error'];

/** How often it waits for a softirq on its way, the wire's ends apart. */
export function backlogs({ device, forward }: Row, direction: Direction): number {
	if (device === 'none') return direction === 'between' ? 1 : 0;
	if (forward === 'native') return 0;
	const inOwnCall = device.startsWith('netkit-');
	if (forward === 'stack') return direction === 'between' ? 2 : 1;
	if (direction === 'in') return 0;
	if (direction === 'out') return inOwnCall ? 0 : 1;
	return forward === 'redirect-egress' && !inOwnCall ? 2 : 1;
}

/** Whether the host's stack forwards it. */
export function isForwarded({ forward }: Row): boolean {
	return forward === 'stack';
}

function join(...parts: string[]): string {
	return parts.filter(Boolean).join(', ');
}

/** Where no program guards a slave, none is on its way. */
const GUARDS = /(?:(?:host|WEB):eth0 (?:in|e)gress\[tcx \w+ → (?:next|pass)\]|host netfilter output)(?:, )?/g;

function fill(way: string, { device, forward }: Row, family: Family, { tcx }: KernelWays): string {
	const { program = '', verdict = '' } = forward === 'native' ? {} : FORWARDING[forward];
	const guarded = device.startsWith('ipvlan-') && !tcx ? way.replace('FROM_WIRE', FROM_WIRE).replace(GUARDS, '') : way;
	return guarded
		.replaceAll('FROM_WIRE', FROM_WIRE)
		.replaceAll('PROGRAM', program)
		.replaceAll('VERDICT', verdict)
		.replaceAll('TC ', tcx ? 'tcx ' : 'clsact ')
		.replaceAll('IP ', family === 6 ? 'ip6 ' : 'ip ')
		.replaceAll('WEB', 'web')
		.replaceAll('API', 'api')
		.replace(/, $/, '');
}

/** The way of what `api` sends to `web`. */
function swap(way: string): string {
	return way.replace(/\b(?:web|api)\b/g, (name) => (name === 'web' ? 'api' : 'web'));
}
