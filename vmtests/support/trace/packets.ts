/**
 * Which events are one packet. Pure: no kernel is asked.
 *
 * A packet is known by the words of its headers, which as a rule differ from those of the next one of its flow, and among packets of
 * the same words by its skb, or its buffer, which clones share. So it is followed across clones, copies, scrubs, moves to another
 * netns, and from skb to xdp_buff and back. Where a device or the stack cuts it into smaller packets, or makes one of several, these
 * are packets of their own: what became of each is told by the bytes that they hold.
 */
import type { PacketEvent } from './types.ts';

/** The events of one packet, in time. */
export interface Packet {
	events: PacketEvent[];
	/** delivered or dropped: what follows with the same words is another packet */
	ended: boolean;
}

/** In the order in which they were first seen. */
export function separatePackets(events: readonly PacketEvent[]): Packet[] {
	const packets: Packet[] = [];
	const byKey = new Map<string, Packet[]>();
	for (const event of events.toSorted((a, b) => a.time - b.time)) {
		const key = keyOf(event);
		const alike = byKey.get(key) ?? byKey.set(key, []).get(key)!;
		let packet = samePacket(alike, event, packets);
		if (!packet) {
			packet = { events: [], ended: false };
			packets.push(packet);
			alike.push(packet);
		}
		packet.events.push(event);
		packet.ended ||= isEnd(event);
	}
	return packets;
}

/** The function that frees a fragment on the frag_list of the datagram that it was put into, once that has come to its own end. */
export const FREED_WITH_ANOTHER = 'skb_release_data';

/** What packets of one direction of a conversation have in common. */
export function flowOf({ protocol, source, destination, sourcePort, destinationPort }: PacketEvent): string {
	return [protocol, source, sourcePort, destination, destinationPort].join(' ');
}

/** A datagram is the same before it is cut into fragments and after: those have an offset more. A segment is told from its first piece by its size. */
function keyOf(event: PacketEvent): string {
	const { tcp, icmp, fragment, family, ipId, payload } = event;
	const own = tcp ? Object.values(tcp) : icmp ? Object.values(icmp) : [];
	const identification = fragment !== null || family === 4 ? ipId : null;
	return [flowOf(event), fragment, identification, payload, ...own].join(' ');
}

/** By its skb, or its buffer where the skb was cloned; by its words alone where both were made anew on the way. */
function samePacket(alike: readonly Packet[], event: PacketEvent, all: readonly Packet[]): Packet | undefined {
	const candidates = alike.filter((packet) => mayGoOn(packet, event));
	const by = (same: typeof isSameBuffer) => candidates.findLast(({ events }) => events.some((one) => same(one, event)));
	const known = by(isSameSkb) ?? by(isSameBuffer);
	// of several alike the one that has been under way for longest
	return known ?? (isSent(event) || isPiece(event, all) ? undefined : candidates[0]);
}

/** Its first socket puts it out: a clone, of which TCP makes one each time, as a rule where the one before was. */
function isSent({ symbol, socket }: PacketEvent): boolean {
	return socket && (symbol === 'ip6_output' || symbol === 'ip_output');
}

/** Of a larger segment that was last seen there. One that TCP sends again may be as large, and under way as well. */
function isPiece(event: PacketEvent, all: readonly Packet[]): boolean {
	if (!event.tcp || !event.payload) return false;
	return all.some(({ events, ended }) => {
		const last = events.at(-1)!;
		if (ended || last.payload <= event.payload || last.netns !== event.netns || last.device !== event.device)
			return false;
		return isCovered(rangeOf(event), [rangeOf(last)]);
	});
}

/**
 * An ended packet has only afterthoughts of the same skb. One that comes to a place again is another packet, unless it is the very
 * skb that goes in a circle; what a socket or a device sends again is always another.
 */
function mayGoOn({ events, ended }: Packet, event: PacketEvent): boolean {
	if (ended) return isEnd(event) && events.some((one) => isSameBuffer(one, event));
	const again = events.some((one) => isSamePlace(one, event));
	// two programs watch a function, and both tell of a packet whose sender was moved to another CPU between them
	const sentAgain = isSent(event) && !isSamePlace(events.at(-1)!, event);
	if (again) return event.kind !== 'xmit' && !sentAgain && events.some((one) => isSameSkb(one, event));
	// a clone that is dropped is not the packet that it was made of
	const dropped = event.kind === 'drop' && event.function !== FREED_WITH_ANOTHER;
	return !dropped || events.some((one) => isSameSkb(one, event)) || !events.some((one) => isSameBuffer(one, event));
}

function isSamePlace(a: PacketEvent, b: PacketEvent): boolean {
	return a.symbol === b.symbol && a.netns === b.netns && a.device === b.device && a.program?.name === b.program?.name;
}

/** An XDP program sees a buffer. */
export const NO_SKB = '0';

function isSameSkb(a: PacketEvent, b: PacketEvent): boolean {
	return a.skb === b.skb && a.skb !== NO_SKB;
}

function isSameBuffer(a: PacketEvent, b: PacketEvent): boolean {
	return isSameSkb(a, b) || a.head === b.head;
}

function isEnd({ kind }: PacketEvent): boolean {
	return kind === 'drop' || kind.endsWith(' deliver');
}

/**
 * Where the bytes of a packet went that neither arrived nor were dropped as that packet: out of the tunnel that it was, on in smaller
 * ones that begin where it was last seen, or in a larger one. One of its own size is the same bytes sent again, and explains nothing.
 */
export function whereBytesWent(packet: Packet, all: readonly Packet[]): 'unwrapped' | 'segmented' | 'merged' | null {
	// freed later than that, by what its bytes went into
	const last = packet.events.findLast(({ kind }) => kind !== 'drop') ?? packet.events.at(-1)!;
	if (all.some((other) => other.events.at(-1)!.time > last.time && carries(last, other.events[0]!))) return 'unwrapped';
	const others = all.filter((other) => other !== packet && isSameConversation(other.events[0]!, last));
	const later = others.filter(({ events }) => events.at(-1)!.time >= last.time).map(({ events }) => events[0]!);
	const here = later.filter(({ netns }) => netns === last.netns);
	if (last.fragment !== null)
		return others.some(({ events }) => events.some((event) => isMadeOf(event, last))) ? 'merged' : null;
	if (areFragmentsOf(last, here)) return 'segmented';
	if (!last.payload) return null;
	const smaller = here.filter(({ payload }) => payload < last.payload);
	if (last.protocol === 'udp') return addUp(last, smaller) ? 'segmented' : null;
	if (!last.tcp) return null;
	// those of one that was sent before may still be under way
	const pieces = smaller.filter(({ time }) => time >= last.time);
	if (isCovered(rangeOf(last), pieces.map(rangeOf))) return 'segmented';
	const larger = later.filter(({ payload }) => payload > last.payload);
	return larger.some((event) => isCovered(rangeOf(last), [rangeOf(event)])) ? 'merged' : null;
}

/** A whole datagram, made of this fragment among others: there, large enough, and with its identification where that is kept. */
function isMadeOf(whole: PacketEvent, fragment: PacketEvent): boolean {
	if (whole.netns !== fragment.netns || whole.time < fragment.time) return false;
	if (whole.fragment !== null || (fragment.family === 4 && whole.ipId !== fragment.ipId)) return false;
	return whole.payload + LARGEST_HEADER >= fragment.fragment! + fragment.payload;
}

/** Of a transport: what a fragment's offset counts and a datagram's payload does not. */
const LARGEST_HEADER = 60;

function areFragmentsOf(whole: PacketEvent, events: readonly PacketEvent[]): boolean {
	const fragments = events.filter((event) => event.fragment !== null && event.time >= whole.time);
	const wholes = Map.groupBy(fragments, ({ ipId }) => ipId);
	return [...wholes].some(([ipId, pieces]) => {
		const sum = pieces.reduce((bytes, { payload }) => bytes + payload, 0);
		return (whole.family === 6 || ipId === whole.ipId) && sum >= whole.payload && sum <= whole.payload + LARGEST_HEADER;
	});
}

/** Datagrams have no sequence numbers: the next ones of the flow hold these bytes, no more and no less (UDP_SEGMENT, 4.18). */
function addUp(whole: PacketEvent, pieces: readonly PacketEvent[]): boolean {
	let rest = whole.payload;
	for (const piece of pieces) {
		if (piece.time >= whole.time && flowOf(piece) === flowOf(whole)) rest -= piece.payload;
		if (rest <= 0) break;
	}
	return rest === 0;
}

/** Whether the IP header of one is behind that of the other: both addresses, which no payload has one behind the other by chance. */
function carries(outer: PacketEvent, inner: PacketEvent): boolean {
	// an error quotes the packet that it is about
	if (outer.icmp) return false;
	const { at, size } = inner.family === 6 ? { at: 8, size: 32 } : { at: 12, size: 8 };
	const addresses = inner.bytes.subarray(at, at + size);
	return addresses.length === size && Buffer.from(outer.bytes.subarray(at + size)).includes(addresses);
}

/** Fragments but the first have no ports. */
function isSameConversation(a: PacketEvent, b: PacketEvent): boolean {
	return a.source === b.source && a.destination === b.destination && a.protocol === b.protocol;
}

/** Bytes of a TCP stream. Sequence numbers wrap at 2³². */
interface Range {
	start: number;
	length: number;
	ports: string;
}

function rangeOf(event: PacketEvent): Range {
	return { start: event.tcp?.sequence ?? 0, length: event.payload, ports: flowOf(event) };
}

function isCovered({ start, length, ports }: Range, by: readonly Range[]): boolean {
	const pieces = by
		.filter((range) => range.ports === ports && range.length > 0)
		.map((range) => ({ from: (range.start - start) | 0, to: ((range.start - start) | 0) + range.length }))
		.sort((a, b) => a.from - b.from);
	let reached = 0;
	for (const { from, to } of pieces) if (from <= reached) reached = Math.max(reached, to);
	return reached >= length;
}
