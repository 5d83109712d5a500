/** The tracer's records (struct event in bpf/include/trace.h) as plain data, with the names of their guest put in. */
import { SocketAddress } from 'node:net';
import { HOOKS } from './hooks.ts';
import type { PacketEvent, ProgramRun } from './types.ts';

/** Bytes of a record, and of them those that the packet's own bytes take at its end. */
export const EVENT_SIZE = 280;
/** Of the ring buffer's, in front of each. */
export const RECORD_HEADER = 8;
const CAPTURE = { at: 136, size: 144 } as const;

/** Where the fields are. */
export const OFFSET = {
	time: 0,
	skb: 8,
	head: 16,
	location: 24,
	netns: 32,
	ifindex: 36,
	length: 40,
	mark: 44,
	network: 48,
	program: 52,
	result: 56,
	reason: 60,
	cpu: 64,
	captured: 66,
	hook: 68,
	flags: 69,
	device: 72,
	function: 88,
	bytes: CAPTURE.at,
} as const;

export const FLAG = { socket: 1, softirq: 2, ingress: 4 } as const;

/** What the numbers in the records mean in the guest that wrote them: plain data, asked for there. */
export interface EventNames {
	/** by inode number */
	netns: [number, string][];
	/** drop reasons, none before 5.17 */
	reasons: [number, string][];
	/** functions by the address of a drop, where the kernel did not name them itself (before 5.13) */
	functions: [bigint, string][];
	programs: ProgramPlace[];
}

/** A program at one of its places, and what it said there. */
export interface ProgramPlace extends ProgramRun {
	id: number;
	netns: number;
	ifindex: number;
	ingress: boolean;
	result: number;
}

/** One key for a program's run: what `ProgramPlace` answers for. */
export function placeKey({ id, netns, ifindex, ingress, result }: Omit<ProgramPlace, keyof ProgramRun>): string {
	return [id, netns, ifindex, ingress, result].join(' ');
}

/** The fields that `placeKey` needs. */
export function placeOf(record: Buffer): Omit<ProgramPlace, keyof ProgramRun> {
	return {
		id: record.readUInt32LE(OFFSET.program),
		netns: record.readUInt32LE(OFFSET.netns),
		ifindex: record.readUInt32LE(OFFSET.ifindex),
		ingress: (record.readUInt8(OFFSET.flags) & FLAG.ingress) !== 0,
		result: record.readInt32LE(OFFSET.result),
	};
}

/** Records as the ring buffer holds them, each behind 8 bytes that say its length. */
export function* recordsOf(bytes: Buffer): Generator<Buffer> {
	const stride = RECORD_HEADER + EVENT_SIZE;
	for (let at = RECORD_HEADER; at < bytes.length; at += stride) yield bytes.subarray(at, at + EVENT_SIZE);
}

/** What is no IP packet is left out. */
export function decodeEvents(records: Buffer, names: EventNames): PacketEvent[] {
	const maps = {
		netns: new Map(names.netns),
		reasons: new Map(names.reasons),
		functions: new Map(names.functions),
		programs: new Map(names.programs.map((place) => [placeKey(place), place])),
	};
	const events: PacketEvent[] = [];
	for (const record of recordsOf(records)) {
		const event = decodeEvent(record, maps);
		if (event) events.push(event);
	}
	return events;
}

interface NameMaps {
	netns: Map<number, string>;
	reasons: Map<number, string>;
	functions: Map<bigint, string>;
	programs: Map<string, ProgramRun>;
}

function decodeEvent(record: Buffer, names: NameMaps): PacketEvent | null {
	const { symbol, kind } = HOOKS[record.readUInt8(OFFSET.hook)]!;
	const flags = record.readUInt8(OFFSET.flags);
	const bytes = record.subarray(CAPTURE.at, CAPTURE.at + record.readUInt16LE(OFFSET.captured));
	const packet = parsePacket(bytes);
	if (!packet) return null;
	const { headers, ...fields } = packet;
	const inode = record.readUInt32LE(OFFSET.netns);
	const length = record.readUInt32LE(OFFSET.length);
	const run = kind === 'program' ? names.programs.get(placeKey(placeOf(record))) : undefined;
	return {
		time: Number(record.readBigUInt64LE(OFFSET.time)),
		cpu: record.readUInt16LE(OFFSET.cpu),
		kind,
		symbol,
		skb: record.readBigUInt64LE(OFFSET.skb).toString(16),
		head: record.readBigUInt64LE(OFFSET.head).toString(16),
		netns: names.netns.get(inode) ?? String(inode),
		device: cString(record, OFFSET.device, 16) || null,
		ifindex: record.readUInt32LE(OFFSET.ifindex),
		length,
		payload: payloadOf(bytes, length - record.readInt32LE(OFFSET.network), headers),
		mark: record.readUInt32LE(OFFSET.mark),
		socket: (flags & FLAG.socket) !== 0,
		softirq: (flags & FLAG.softirq) !== 0,
		...fields,
		nonce: /pathproof-[0-9a-z]{6}/.exec(bytes.toString('latin1'))?.[0] ?? null,
		program: run
			? { name: run.name, attach: run.attach, direction: run.direction, verdict: run.verdict }
			: kind === 'program'
				? { name: null, attach: 'unknown', direction: 'ingress', verdict: String(record.readInt32LE(OFFSET.result)) }
				: null,
		hook: kind === 'netfilter' ? netfilterHook(record.readInt32LE(OFFSET.result)) : null,
		...dropOf(record, kind === 'drop', names),
		bytes: Uint8Array.from(bytes),
	};
}

function dropOf(record: Buffer, dropped: boolean, names: NameMaps): Pick<PacketEvent, 'reason' | 'function'> {
	if (!dropped) return { reason: null, function: null };
	const reason = record.readUInt32LE(OFFSET.reason);
	// `veth_xmit [veth]` where it is a module's
	const said = cString(record, OFFSET.function, CAPTURE.at - OFFSET.function).split(' ')[0];
	const location = record.readBigUInt64LE(OFFSET.location);
	const name = said || names.functions.get(location) || `0x${location.toString(16)}`;
	return { reason: reason ? (names.reasons.get(reason) ?? `REASON_${reason}`) : name, function: name };
}

/** What the IP header says, where it does: a short packet has Ethernet's padding behind it, a very large one no length (RFC 2675). */
function payloadOf(bytes: Buffer, there: number, headers: number): number {
	const said = bytes[0]! >> 4 === 6 ? bytes.readUInt16BE(4) + 40 : bytes.readUInt16BE(2);
	const empty = bytes[0]! >> 4 === 6 ? 40 : 0;
	return Math.max(0, (said === empty ? there : Math.min(there, said)) - headers);
}

const NFPROTO_NETDEV = 5;
const IP_HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const NETDEV_HOOKS = ['ingress', 'egress'];
export const NETFILTER_HOOKS = [...IP_HOOKS, ...NETDEV_HOOKS];

/** struct nf_hook_state's hook, and its protocol in the byte above. */
function netfilterHook(result: number): string {
	const hooks = result >> 8 === NFPROTO_NETDEV ? NETDEV_HOOKS : IP_HOOKS;
	return hooks[result & 0xff] ?? `hook ${result & 0xff}`;
}

type Parsed = Pick<
	PacketEvent,
	| 'family'
	| 'protocol'
	| 'source'
	| 'destination'
	| 'sourcePort'
	| 'destinationPort'
	| 'fragment'
	| 'ipId'
	| 'tcp'
	| 'icmp'
> & {
	/** bytes from the IP header to behind the transport's */
	headers: number;
};

interface Network {
	family: 4 | 6;
	protocol: number;
	source: string;
	destination: string;
	fragment: number | null;
	ipId: number | null;
	/** where the transport header begins */
	transport: number;
}

const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;
const PROTOCOLS: Record<number, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp' };

function parsePacket(bytes: Buffer): Parsed | null {
	const network = parseNetwork(bytes);
	if (!network) return null;
	const { protocol: number, transport: at, ...rest } = network;
	const protocol = PROTOCOLS[number] ?? `protocol ${number}`;
	const none = { sourcePort: null, destinationPort: null, tcp: null, icmp: null };
	const parsed = { ...rest, protocol, ...none, headers: at };
	// a later fragment begins in the middle of what the first one's ports are for
	if (rest.fragment) return parsed;
	if (number === PROTOCOL.udp && bytes.length >= at + 8) return { ...parsed, ...ports(bytes, at), headers: at + 8 };
	if (number === PROTOCOL.tcp && bytes.length >= at + 14) {
		const tcp = {
			flags: bytes[at + 13]!,
			sequence: bytes.readUInt32BE(at + 4),
			acknowledged: bytes.readUInt32BE(at + 8),
		};
		return { ...parsed, ...ports(bytes, at), tcp, headers: at + (bytes[at + 12]! >> 4) * 4 };
	}
	if ((number === PROTOCOL.icmp || number === PROTOCOL.icmpv6) && bytes.length >= at + 8) {
		const icmp = {
			type: bytes[at]!,
			code: bytes[at + 1]!,
			id: bytes.readUInt16BE(at + 4),
			sequence: bytes.readUInt16BE(at + 6),
		};
		return { ...parsed, icmp, headers: at + 8 };
	}
	return parsed;
}

function ports(bytes: Buffer, at: number): { sourcePort: number; destinationPort: number } {
	return { sourcePort: bytes.readUInt16BE(at), destinationPort: bytes.readUInt16BE(at + 2) };
}

function parseNetwork(bytes: Buffer): Network | null {
	const version = (bytes[0] ?? 0) >> 4;
	if (version === 4 && bytes.length >= 20) {
		const fragment = bytes.readUInt16BE(6);
		const more = (fragment & 0x2000) !== 0;
		const offset = (fragment & 0x1fff) * 8;
		return {
			family: 4,
			protocol: bytes[9]!,
			source: bytes.subarray(12, 16).join('.'),
			destination: bytes.subarray(16, 20).join('.'),
			fragment: more || offset ? offset : null,
			ipId: bytes.readUInt16BE(4),
			transport: (bytes[0]! & 15) * 4,
		};
	}
	if (version !== 6 || bytes.length < 40) return null;
	const base = { family: 6, source: ipv6(bytes.subarray(8, 24)), destination: ipv6(bytes.subarray(24, 40)) } as const;
	return { ...base, ...behindExtensions(bytes) };
}

/** RFC 8200: hop-by-hop options, routing and destination options have their length in their second byte, the fragment header has 8. */
const WITH_LENGTH = [0, 43, 60];
const FRAGMENT_HEADER = 44;

function behindExtensions(bytes: Buffer): Pick<Network, 'protocol' | 'transport' | 'fragment' | 'ipId'> {
	let protocol = bytes[6]!;
	let transport = 40;
	let fragment: number | null = null;
	let ipId: number | null = null;
	while (transport + 8 <= bytes.length && (WITH_LENGTH.includes(protocol) || protocol === FRAGMENT_HEADER)) {
		const isFragment = protocol === FRAGMENT_HEADER;
		if (isFragment) {
			fragment = bytes.readUInt16BE(transport + 2) & 0xfff8;
			ipId = bytes.readUInt32BE(transport + 4);
		}
		protocol = bytes[transport]!;
		transport += isFragment ? 8 : (bytes[transport + 1]! + 1) * 8;
		if (fragment) break;
	}
	return { protocol, transport, fragment, ipId };
}

function ipv6(bytes: Buffer): string {
	const groups = bytes.toString('hex').match(/.{4}/g)!.join(':');
	return new SocketAddress({ address: groups, family: 'ipv6' }).address;
}

function cString(record: Buffer, at: number, size: number): string {
	const end = record.indexOf(0, at);
	return record.toString('latin1', at, end < 0 || end > at + size ? at + size : end);
}
