/**
 * From single events to the way of each packet. Pure: no kernel is asked.
 *
 * A hop is a thing that happened to the packet, once, by place and direction:
 *
 * | hop | what happened |
 * | --- | --- |
 * | `web:eth0 xmit` | the device was given the packet to send |
 * | `host backlog` | it waited in a CPU's backlog for a softirq. What an uplink's wire queues belongs to the wire, which stands for a NIC, and is no hop |
 * | `host:web receive` | the device received it. After redirect_peer no driver does: there the container's IP stack is the first to see it |
 * | `host:web ingress[…]` | a program ran; `egress` where it ran on the way out |
 * | `host ip6 receive`, `host ip6 forward` | the host's IP stack had it. web and peer are ends: that their stack takes what their device received is not told apart |
 * | `peer udp deliver` | a socket took it, or for ICMP the kernel itself |
 * | `drop NO_SOCKET` | it ended, by the kernel's reason, or by the function that dropped it where the kernel has no reasons (before 5.17) |
 */
import { detailOf } from './details.ts';
import type { Hop, PacketPath } from './types.ts';

export type HopKind =
	| 'xmit'
	| 'receive'
	| 'backlog'
	| 'program'
	| 'redirect'
	| `ip${'' | '6'} ${'receive' | 'forward'}`
	| `${'udp' | 'tcp' | 'icmp'} deliver`
	| 'drop';

/** What a program decided, and where it hangs. */
export interface ProgramRun {
	/** null where it has none */
	name: string | null;
	attach: string;
	direction: 'ingress' | 'egress';
	verdict: string;
}

/** One packet at one hook. */
export interface PacketEvent {
	/** nanoseconds since the guest's boot */
	time: number;
	cpu: number;
	kind: HopKind;
	/** the tracepoint or function */
	symbol: string;
	/** kernel addresses in hex: of the skb, and of its buffer, which clones share */
	skb: string;
	head: string;
	/** `host`, `web`, `peer`, or an inode number */
	netns: string;
	device: string | null;
	ifindex: number;
	/** bytes, with or without the Ethernet header as the hook sees it */
	length: number;
	mark: number;
	socket: boolean;
	softirq: boolean;
	family: 4 | 6;
	protocol: string;
	source: string;
	destination: string;
	sourcePort: number | null;
	destinationPort: number | null;
	tcp: { flags: number; sequence: number; acknowledged: number } | null;
	icmp: { type: number; code: number; id: number; sequence: number } | null;
	program: ProgramRun | null;
	/** of a drop */
	reason: string | null;
}

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
	return packets.map((packet) => {
		const hops = hopsOf(packet.events, options);
		const { family, protocol, source, destination, sourcePort, destinationPort } = packet.events[0]!;
		return {
			direction: directionOf(packet.events),
			delivered: hops.at(-1)?.hop.endsWith(' deliver') ?? false,
			lostEvents,
			packet: {
				family,
				protocol,
				source,
				destination,
				sourcePort,
				destinationPort,
				detail: detailOf(packets, packet),
			},
			hops,
		};
	});
}

/** The events of one packet, in time. */
export interface Packet {
	key: string;
	events: PacketEvent[];
	/** delivered or dropped: what follows with the same words is another packet */
	ended: boolean;
}

/** An XDP program sees a buffer: that the packet kept its socket is what was known before. */
const NO_SKB = '0';
/** Ends and their wires: a packet starts and ends in these, the host is what is in between. */
const ENDS = ['web', 'peer'];
const WIRED = ['host', 'peer'];
const UPLINK = /^eth\d+$/;

function separatePackets(events: readonly PacketEvent[]): Packet[] {
	const packets: Packet[] = [];
	const byKey = new Map<string, Packet[]>();
	for (const event of events.toSorted((a, b) => a.time - b.time)) {
		const key = keyOf(event);
		const alike = byKey.get(key) ?? byKey.set(key, []).get(key)!;
		let packet = samePacket(alike, event);
		if (!packet) {
			packet = { key, events: [], ended: false };
			packets.push(packet);
			alike.push(packet);
		}
		packet.events.push(event);
		packet.ended ||= event.kind === 'drop' || event.kind.endsWith(' deliver');
	}
	return packets;
}

/** What is the same at all hops of a packet, and as a rule different for the next one of its flow. */
function keyOf({ family, protocol, source, destination, sourcePort, destinationPort, tcp, icmp }: PacketEvent): string {
	const own = tcp ? Object.values(tcp) : icmp ? Object.values(icmp) : [];
	return [family, protocol, source, sourcePort, destination, destinationPort, ...own].join(' ');
}

/** By its skb, or its buffer where the skb was cloned; by its words alone where both were made anew on the way. */
function samePacket(alike: readonly Packet[], event: PacketEvent): Packet | undefined {
	const candidates = alike.filter((packet) => mayGoOn(packet, event));
	return (
		candidates.findLast(({ events }) => events.some(({ skb, head }) => skb === event.skb || head === event.head)) ??
		candidates.at(-1)
	);
}

/** An ended packet has only afterthoughts of the same skb; one that is sent again by the same device is a new one. */
function mayGoOn({ events, ended }: Packet, event: PacketEvent): boolean {
	const afterthought = event.kind === 'drop' || event.kind.endsWith(' deliver');
	if (ended) return afterthought && events.some(({ skb, head }) => skb === event.skb || head === event.head);
	return (
		event.kind !== 'xmit' ||
		!events.some(({ kind, netns, device }) => kind === 'xmit' && netns === event.netns && device === event.device)
	);
}

function directionOf(events: readonly PacketEvent[]): 'out' | 'in' {
	const origin = events[0]!.netns;
	if (origin === 'peer') return 'in';
	return origin === 'host' && events.some(({ netns }) => netns === 'web') ? 'in' : 'out';
}

function hopsOf(events: readonly PacketEvent[], { exact = false }: PathOptions): Hop[] {
	const hops: Hop[] = [];
	let before = events[0]!.time;
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
			symbol: event.symbol,
			socket: event.skb === NO_SKB ? (hops.at(-1)?.socket ?? false) : event.socket,
			softirq: event.softirq,
			instructions: exact ? event.time - before : null,
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
		case 'backlog':
			return isUplink(event) ? null : `${netns} backlog`;
		case 'program':
			return `${place} ${event.program!.direction}`;
		case 'redirect':
			// after a program that was seen, this is what its verdict said already
			return earlier.at(-1)?.kind === 'program' ? null : `${place} ingress`;
		case 'ip receive':
		case 'ip6 receive':
			if (!ENDS.includes(netns)) return `${netns} ${kind}`;
			return hops.some(({ hop }) => hop === `${place} receive`) ? null : `${place} receive`;
		case 'ip forward':
		case 'ip6 forward':
			return `${netns} ${kind}`;
		case 'drop':
			return isAfterDelivery(event, hops) ? null : `drop ${event.reason}`;
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
