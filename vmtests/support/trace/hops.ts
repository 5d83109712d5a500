/**
 * From single events to the way of each packet. Pure: no kernel is asked.
 *
 * A hop is a thing that happened to the packet, once, by place and direction:
 *
 * | hop | what happened |
 * | --- | --- |
 * | `web:eth0 xmit` | the device was given the packet to send |
 * | `host:eth0 qdisc` | it waited in the device's qdisc. Before 5.15 only one that is let go again is seen |
 * | `host backlog` | it waited in a CPU's backlog for a softirq. What an uplink's wire queues belongs to the wire, which stands for a NIC, and is no hop |
 * | `host:web receive` | the device received it. After redirect_peer no driver does: there the container's IP stack is the first to see it |
 * | `host:web ingress[…]` | a program ran; `egress` where it ran on the way out |
 * | `web cgroup egress[…]` | a program of the socket's cgroup ran |
 * | `host ip6 receive`, `host ip6 forward` | the host's IP stack had it. web and peer are ends: that their stack takes what their device received is not told apart |
 * | `host netfilter forward` | rules were asked; a hook without any is not entered |
 * | `host:eth0 neighbour` | it waited for the neighbour's address |
 * | `peer udp deliver` | a socket took it, or for ICMP the kernel itself |
 * | `drop NO_SOCKET` | it ended, by the kernel's reason, or by the function that dropped it where the kernel has no reasons (before 5.17) |
 */
import { detailsOf } from './details.ts';
import { FREED_WITH_ANOTHER, NO_SKB, type Packet, separatePackets, whereBytesWent } from './packets.ts';
import type { Fate, Hop, PacketEvent, PacketPath } from './types.ts';

export interface PathOptions {
	/** one nanosecond of the guest is one instruction: the `exact` profile */
	exact?: boolean;
}

/** The ways of all packets, in the order in which they were first seen. `lostEvents` is said of each: any of them may be short of one. */
export function packetPaths(
	events: readonly PacketEvent[],
	lostEvents: number,
	options: PathOptions = {},
): PacketPath[] {
	const packets = separatePackets(events);
	const details = detailsOf(packets);
	return packets.map((packet, index) => {
		const hops = hopsOf(packet.events, options);
		const fate = fateOf(packet, hops, packets);
		const { family, protocol, source, destination, sourcePort, destinationPort } = packet.events[0]!;
		return {
			direction: directionOf(packet.events),
			delivered: fate === 'delivered',
			fate,
			lostEvents,
			packet: { family, protocol, source, destination, sourcePort, destinationPort, detail: details[index]! },
			nonce: packet.events.find(({ nonce }) => nonce)?.nonce ?? null,
			hops,
			events: packet.events,
		};
	});
}

/** Into a queue. Out of one is `qdisc_dequeue`. */
const WAITING = ['qdisc_enqueue', 'enqueue_to_backlog', '__neigh_event_send'];
const DROPPING = ['drop', 'aborted'];

function fateOf(packet: Packet, hops: readonly Hop[], all: readonly Packet[]): Fate {
	const last = hops.at(-1);
	if (last?.hop.endsWith(' deliver')) return 'delivered';
	if (last?.hop.startsWith('drop ') || DROPPING.includes(last?.verdict ?? '')) return 'dropped';
	const went = whereBytesWent(packet, all);
	if (went) return went;
	return WAITING.includes(packet.events.at(-1)!.symbol) ? 'queued' : 'unexplained';
}

const HOST = 'host';
const PEER = 'peer';
/** Those whose eth0 and eth1 are a wire's ends. */
const WIRED = [HOST, PEER];
const UPLINK = /^eth\d+$/;

function directionOf(events: readonly PacketEvent[]): 'out' | 'in' {
	const origin = events[0]!.netns;
	if (origin === PEER) return 'in';
	// a socket frees packets that no device has any more
	return origin === HOST && events.some(({ netns, device }) => device && !WIRED.includes(netns)) ? 'in' : 'out';
}

function hopsOf(events: readonly PacketEvent[], { exact = false }: PathOptions): Hop[] {
	const hops: Hop[] = [];
	let before: number | null = null;
	events.forEach((event, index) => {
		const told = tell(event, events.slice(0, index), hops);
		if (told === null) return;
		hops.push({
			hop: told,
			netns: event.netns,
			device: event.device,
			attach: event.program?.attach ?? null,
			program: event.program?.name ?? null,
			verdict: event.program?.verdict ?? (event.kind === 'redirect' ? 'redirect' : null),
			symbol: event.function ?? event.symbol,
			time: event.time,
			// that the packet kept its socket is what was known before
			socket: event.skb === NO_SKB ? (hops.at(-1)?.socket ?? false) : event.socket,
			softirq: event.softirq,
			mark: event.mark,
			instructions: exact ? event.time - (before ?? event.time) : null,
		});
		before = event.time;
	});
	return hops;
}

/** The hop's name, or null where the event is no hop of its own. */
function tell(event: PacketEvent, earlier: readonly PacketEvent[], hops: readonly Hop[]): string | null {
	const { kind, netns, device } = event;
	const place = `${netns}:${device}`;
	switch (kind) {
		case 'note':
			return null;
		case 'backlog':
			return isUplink(event) ? null : `${netns} backlog`;
		case 'program':
			return `${event.program!.attach === 'cgroup' ? `${netns} cgroup` : place} ${event.program!.direction}`;
		case 'redirect':
			// after a program that was seen, this is what its verdict said already
			return earlier.findLast((one) => one.kind !== 'note')?.program?.verdict === 'redirect'
				? null
				: `${place} ingress`;
		case 'netfilter':
			return `${netns} netfilter ${event.hook}`;
		case 'ip receive':
		case 'ip6 receive':
			if (netns === HOST) return `${netns} ${kind}`;
			return hops.some(({ hop }) => hop === `${place} receive`) ? null : `${place} receive`;
		case 'ip forward':
		case 'ip6 forward':
			return `${netns} ${kind}`;
		case 'drop':
			return event.function === FREED_WITH_ANOTHER || isAfterDelivery(event, hops) ? null : `drop ${event.reason}`;
		case 'qdisc':
			// into it and out of it again
			return hops.at(-1)?.hop === `${place} qdisc` ? null : `${place} qdisc`;
		case 'neighbour':
		case 'xmit':
		case 'receive':
			return `${place} ${kind}`;
		default:
			return hops.some(({ hop }) => hop === `${netns} ${kind}`) ? null : `${netns} ${kind}`;
	}
}

function isUplink({ netns, device }: PacketEvent): boolean {
	return WIRED.includes(netns) && UPLINK.test(device ?? '');
}

interface Afterwards {
	protocol: RegExp;
	reason: RegExp;
	why: string;
}

/** How kernels free a packet that has arrived by the word for drops. */
const FREED_AFTER_DELIVERY: readonly Afterwards[] = [
	{
		protocol: /./,
		reason: /^NOT_SPECIFIED$/,
		why: 'no reason is given where none was thought of: a drop after delivery has one',
	},
	{ protocol: /./, reason: /QUEUE_PURGE$/, why: 'the socket was closed with the packet unread' },
	{
		protocol: /icmp/,
		reason: /^NO_SOCKET$/,
		why: 'ping by a raw socket got a clone; for the echo reply itself there is no ping socket',
	},
	{ protocol: /tcp/, reason: /^TCP_(RESET|CLOSE|FASTOPEN)$/, why: 'the segment did its work' },
	{
		protocol: /./,
		reason: /^(icmp|ping|raw|tcp|skb_queue_purge|__skb_queue_purge|sk_stream|inet_csk)\w*$/,
		why: 'before 5.17 there is only the function, and these free what they have handled; UDP that overflows is dropped by udp…',
	},
];

function isAfterDelivery({ protocol, reason }: PacketEvent, hops: readonly Hop[]): boolean {
	return (
		hops.some(({ hop }) => hop.endsWith(' deliver')) &&
		FREED_AFTER_DELIVERY.some((row) => row.protocol.test(protocol) && row.reason.test(reason ?? ''))
	);
}
