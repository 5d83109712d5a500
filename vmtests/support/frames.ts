/** Frames, byte by byte: what no socket but a packet socket sends. Pure; guest/frames.ts sends them. */
import { isIPv4 } from 'node:net';

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, qinq: 0x88a8 } as const;
export const PROTOCOL = {
	hopByHop: 0,
	icmp: 1,
	ipv4: 4,
	tcp: 6,
	udp: 17,
	ipv6: 41,
	routing: 43,
	fragment: 44,
	icmpv6: 58,
	none: 59,
	destination: 60,
} as const;

/** What an IP packet carries. */
export interface Transport {
	protocol: number;
	bytes: Buffer;
	/** where the checksum goes, of zero until then; absent: it has none, or a wrong one on purpose */
	checksumAt?: number;
}

/** An IPv6 extension header: all but its first byte, which says what follows. */
export interface Extension {
	protocol: number;
	/** from the length on: a multiple of 8 with the first byte */
	rest: Buffer;
}

export interface PacketOptions {
	source: string;
	/** of the same family */
	destination: string;
	transport: Transport;
	/** hop limit or TTL, 64 without */
	hops?: number;
	/** IPv6, in this order */
	extensions?: Extension[];
	/** IPv4: padded to a multiple of 4 with zeros */
	options?: Buffer;
	/** a fragment: the part of the transport's bytes that begins there, a multiple of 8; `more` are to come */
	fragment?: { id: number; offset: number; length?: number; more: boolean };
	/** the address that the checksum is computed with, where a routing header will have changed it by the end */
	finalDestination?: string;
}

export interface Tag {
	id: number;
	priority?: number;
	/** 802.1Q without */
	type?: number;
}

export interface FrameOptions {
	/** MAC addresses; zeros without, as a device without Ethernet has them */
	from?: string;
	to?: string;
	/** outermost first */
	tags?: Tag[];
	/** what the frame says that it carries; what it does carry, without */
	type?: number;
	/** an ARP message or any other bytes, or an IP packet */
	payload: Buffer | PacketOptions;
}

export const NO_MAC = '00:00:00:00:00:00';

export function buildFrame({ from = NO_MAC, to = NO_MAC, tags = [], type, payload }: FrameOptions): Buffer {
	const bytes = Buffer.isBuffer(payload) ? payload : buildPacket(payload);
	return Buffer.concat([
		macBytes(to),
		macBytes(from),
		...tags.map(({ id, priority = 0, type: tag = ETHERTYPE.vlan }) => be16(tag, (priority << 13) | id)),
		be16(type ?? ethertypeOf(payload)),
		bytes,
	]);
}

function ethertypeOf(payload: Buffer | PacketOptions): number {
	if (Buffer.isBuffer(payload)) return ETHERTYPE.arp;
	return isIPv4(payload.destination) ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6;
}

/** An IP packet without what a link puts before it. */
export function buildPacket(packet: PacketOptions): Buffer {
	return isIPv4(packet.destination) ? ipv4(packet) : ipv6(packet);
}

function ipv6(packet: PacketOptions): Buffer {
	const { source, destination, transport, hops = 64, extensions = [], fragment } = packet;
	const chain = fragment ? [...extensions, fragmentHeader(fragment)] : extensions;
	const protocols = [...chain.map(({ protocol }) => protocol), transport.protocol];
	const content = Buffer.concat([
		...chain.flatMap(({ rest }, index) => [Buffer.from([protocols[index + 1]!]), rest]),
		carried(packet),
	]);
	return Buffer.concat([
		be32(6 << 28),
		be16(content.length),
		Buffer.from([protocols[0]!, hops]),
		addressBytes(source),
		addressBytes(destination),
		content,
	]);
}

function ipv4(packet: PacketOptions): Buffer {
	const { source, destination, transport, hops = 64, options = Buffer.alloc(0), fragment } = packet;
	const padded = Buffer.concat([options, Buffer.alloc((4 - (options.length % 4)) % 4)]);
	const content = carried(packet);
	const size = 20 + padded.length;
	const header = Buffer.concat([
		Buffer.from([0x40 | (size / 4), 0]),
		be16(size + content.length, fragment?.id ?? 0, fragment ? (fragment.more ? 0x2000 : 0) | (fragment.offset / 8) : 0),
		Buffer.from([hops, transport.protocol]),
		be16(0),
		addressBytes(source),
		addressBytes(destination),
		padded,
	]);
	header.writeUInt16BE(checksum(header), 10);
	return Buffer.concat([header, content]);
}

/** The transport's bytes with their checksum, or the piece of them that a fragment has. */
function carried({ source, destination, finalDestination = destination, transport, fragment }: PacketOptions): Buffer {
	const { bytes, checksumAt, protocol } = transport;
	const whole = Buffer.from(bytes);
	if (checksumAt !== undefined) {
		const six = !isIPv4(destination);
		const pseudo = Buffer.concat([
			addressBytes(source),
			addressBytes(finalDestination),
			...(six ? [be32(whole.length), be32(protocol)] : [be16(protocol, whole.length)]),
		]);
		// ICMP of IPv4 is summed without
		const sum = checksum(protocol === PROTOCOL.icmp ? whole : Buffer.concat([pseudo, whole]));
		whole.writeUInt16BE(sum === 0 && protocol === PROTOCOL.udp ? 0xffff : sum, checksumAt);
	}
	return fragment ? whole.subarray(fragment.offset, fragment.length && fragment.offset + fragment.length) : whole;
}

function fragmentHeader({ id, offset, more }: NonNullable<PacketOptions['fragment']>): Extension {
	return {
		protocol: PROTOCOL.fragment,
		rest: Buffer.concat([Buffer.from([0]), be16(offset | (more ? 1 : 0)), be32(id)]),
	};
}

/** RFC 1071 */
export function checksum(bytes: Buffer): number {
	let sum = 0;
	for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
	while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
	return ~sum & 0xffff;
}

export function udp(sourcePort: number, destinationPort: number, payload: Buffer | string): Transport {
	const data = Buffer.from(payload);
	return {
		protocol: PROTOCOL.udp,
		bytes: Buffer.concat([be16(sourcePort, destinationPort, 8 + data.length, 0), data]),
		checksumAt: 6,
	};
}

/** `flags` as the header has them: 2 is a SYN, without. */
export function tcp(sourcePort: number, destinationPort: number, payload: Buffer | string = '', flags = 2): Transport {
	const head = Buffer.concat([be16(sourcePort, destinationPort), be32(1), be32(0), be16(0x5000 | flags, 64240, 0, 0)]);
	return { protocol: PROTOCOL.tcp, bytes: Buffer.concat([head, Buffer.from(payload)]), checksumAt: 16 };
}

/** Any message of ICMP (`family` 4) or ICMPv6: what follows its checksum is `body`. */
export function icmp(family: 4 | 6, type: number, code: number, body: Buffer): Transport {
	return {
		protocol: family === 6 ? PROTOCOL.icmpv6 : PROTOCOL.icmp,
		bytes: Buffer.concat([Buffer.from([type, code, 0, 0]), body]),
		checksumAt: 2,
	};
}

export function echoRequest(family: 4 | 6, payload: Buffer | string): Transport {
	return icmp(family, family === 6 ? 128 : 8, 0, Buffer.concat([be16(1, 1), Buffer.from(payload)]));
}

/** Neighbour discovery (RFC 4861). `target`: whose MAC is asked for or told; `mac`: the one option, of the sender or the target. */
export function neighbourMessage(
	type: 'solicitation' | 'advertisement',
	{ target, mac, flags = 0x60000000 }: { target: string; mac: string; flags?: number },
): Transport {
	const asks = type === 'solicitation';
	return icmp(
		6,
		asks ? 135 : 136,
		0,
		Buffer.concat([be32(asks ? 0 : flags), addressBytes(target), Buffer.from([asks ? 1 : 2, 1]), macBytes(mac)]),
	);
}

/** RFC 826. `trailer`: bytes behind it, as a frame that is filled up to its least length has them. */
export function arp({
	operation,
	senderMac,
	sender,
	targetMac = NO_MAC,
	target,
	trailer = '',
}: {
	operation: 'request' | 'reply';
	senderMac: string;
	sender: string;
	targetMac?: string;
	target: string;
	trailer?: Buffer | string;
}): Buffer {
	return Buffer.concat([
		be16(1, ETHERTYPE.ipv4),
		Buffer.from([6, 4]),
		be16(operation === 'request' ? 1 : 2),
		macBytes(senderMac),
		addressBytes(sender),
		macBytes(targetMac),
		addressBytes(target),
		Buffer.from(trailer),
	]);
}

/** RFC 8200 and 8754: `segments` are the addresses that are still to be visited; type 4 is a segment routing header. */
export function routingHeader(type: number, segments: readonly string[], left = segments.length): Extension {
	const four = type === 4 ? Buffer.from([segments.length - 1, 0, 0, 0]) : be32(0);
	return {
		protocol: PROTOCOL.routing,
		rest: Buffer.concat([Buffer.from([segments.length * 2, type, left]), four, ...segments.map(addressBytes)]),
	};
}

/** Hop-by-hop or destination options: nothing but padding. */
export function emptyOptions(protocol: typeof PROTOCOL.hopByHop | typeof PROTOCOL.destination): Extension {
	return { protocol, rest: Buffer.from([0, 1, 4, 0, 0, 0, 0]) };
}

/** IPv4: loose (131) or strict (137) source route, or record route (7). */
export function routeOption(kind: 131 | 137 | 7, stations: readonly string[]): Buffer {
	return Buffer.concat([Buffer.from([1, kind, 3 + 4 * stations.length, 4]), ...stations.map(addressBytes)]);
}

export function macBytes(mac: string): Buffer {
	return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

/** 4 or 16 bytes, as on the wire. */
export function addressBytes(address: string): Buffer {
	if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
	const [head = '', tail] = expandMapped(address).split('::');
	const words = (part: string) => (part ? part.split(':').map((word) => Number.parseInt(word, 16)) : []);
	const [before, after] = [words(head), words(tail ?? '')];
	const middle = tail === undefined ? [] : Array<number>(8 - before.length - after.length).fill(0);
	return be16(...before, ...middle, ...after);
}

/** `::ffff:192.0.2.1` without dots */
function expandMapped(address: string): string {
	return address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
		const [a, b, c, d] = parts.map(Number) as [number, number, number, number];
		return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
	});
}

function be16(...values: number[]): Buffer {
	const bytes = Buffer.alloc(2 * values.length);
	for (const [index, value] of values.entries()) bytes.writeUInt16BE(value, 2 * index);
	return bytes;
}

function be32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32BE(value >>> 0);
	return bytes;
}
