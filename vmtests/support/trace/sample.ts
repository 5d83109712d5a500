/** Packets made by hand, for the tests of what judges them. */
import { packetPaths } from './hops.ts';
import type { Hop, PacketEvent, PacketPath } from './types.ts';

/** By its name; what else it is, in `more`. */
export function hop(name: string, more: Partial<Hop> = {}): Hop {
	return {
		hop: name,
		netns: name.split(/[ :]/)[0]!,
		device: null,
		attach: null,
		program: null,
		verdict: null,
		symbol: 'net_dev_start_xmit',
		time: 0,
		socket: true,
		softirq: false,
		mark: 0,
		instructions: null,
		...more,
	};
}

/** A datagram from the container to the peer. */
export function packet(hops: readonly Hop[], more: Partial<PacketPath> = {}): PacketPath {
	const delivered = hops.at(-1)?.hop.endsWith(' deliver') ?? false;
	return {
		direction: 'out',
		delivered,
		fate: delivered ? 'delivered' : hops.at(-1)?.hop.startsWith('drop ') ? 'dropped' : 'unexplained',
		lostEvents: 0,
		packet: {
			family: 6,
			protocol: 'udp',
			source: 'fd00::2',
			destination: 'fd01::2',
			sourcePort: 40000,
			destinationPort: 53,
			detail: '',
		},
		nonce: null,
		hops: hops.map((taken) => ({ ...taken })),
		events: [],
		...more,
	};
}

/** A function on the way of such a packet. */
export function event(symbol: string, more: Partial<PacketEvent> = {}): PacketEvent {
	return {
		time: 0,
		cpu: 0,
		kind: 'note',
		symbol,
		skb: 'ffff888004b07d00',
		head: 'ffff88800420ec80',
		netns: 'host',
		device: 'web',
		ifindex: 3,
		length: 64,
		payload: 16,
		mark: 0,
		socket: true,
		softirq: false,
		family: 6,
		protocol: 'udp',
		source: 'fd00::2',
		destination: 'fd01::2',
		sourcePort: 40000,
		destinationPort: 53,
		fragment: null,
		ipId: null,
		tcp: null,
		icmp: null,
		nonce: null,
		program: null,
		hook: null,
		reason: null,
		function: null,
		bytes: new Uint8Array(),
		...more,
	};
}

let clock = 0;

/** A TCP segment from web to peer; each event is a microsecond after the one before. */
export function segment(
	kind: PacketEvent['kind'],
	place: string,
	sequence: number,
	payload: number,
	skb = '1',
): PacketEvent {
	const [netns, device = null] = place.split(':');
	clock += 1000;
	return event(kind, {
		time: clock,
		kind,
		skb,
		head: skb,
		netns: netns!,
		device,
		length: payload + 60,
		payload,
		protocol: 'tcp',
		source: '2001:db8::1',
		destination: '2001:db8::2',
		destinationPort: 80,
		tcp: { flags: 16, sequence: sequence >>> 0, acknowledged: 7 },
	});
}

/** Of each packet its hops and what became of it, e.g. `web:eth0 xmit, host:web receive: segmented`. */
export function waysOf(events: readonly PacketEvent[]): string[] {
	return packetPaths(events, 0).map(({ hops, fate }) => `${hops.map(({ hop }) => hop).join(', ')}: ${fate}`);
}

/** What their traces watched. */
export const SYMBOLS = [
	'net_dev_start_xmit',
	'netif_receive_skb',
	'kfree_skb',
	'bpf_prog',
	'enqueue_to_backlog',
	'ip6_forward',
	'ip6_output',
	'__udp_enqueue_schedule_skb',
];

const arrived = { softirq: true, socket: false };
const ends = [hop('peer:eth0 receive', arrived), hop('peer udp deliver', arrived)];

/** Past the host's IP stack, and through it. */
export const redirected = packet([
	hop('web:eth0 xmit'),
	hop('host:web ingress', { attach: 'netkit', program: 'egress_neigh', verdict: 'redirect', symbol: 'bpf_prog' }),
	hop('host:eth0 xmit'),
	...ends,
]);
export const forwarded = packet([
	hop('web:eth0 xmit'),
	hop('host backlog', arrived),
	hop('host:web receive', arrived),
	hop('host ip6 forward', { ...arrived, symbol: 'ip6_forward' }),
	hop('host:eth0 xmit', arrived),
	...ends,
]);
