/** The tracer's records (struct event in bpf/include/trace.h) as plain data, with the names of this guest put in. */
import { SocketAddress } from 'node:net';
import type { PacketEvent, ProgramRun } from '../hops.ts';
import { HOOKS } from './symbols.ts';

/** Bytes of a record. */
export const EVENT_SIZE = 136;

const FLAG = { socket: 1, softirq: 2, ingress: 4 } as const;

/** What the numbers in a record mean in this guest. */
export interface EventNames {
	/** by inode number */
	netns: Map<number, string>;
	dropReason: (reason: number, location: bigint) => string;
	program: (id: number, result: number, place: { netns: string; ifindex: number; ingress: boolean }) => ProgramRun;
}

const PROTOCOLS: Record<number, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp' };

export function decodeEvent(record: Buffer, names: EventNames): PacketEvent {
	const hook = HOOKS[record.readUInt8(62)]!;
	const flags = record.readUInt8(63);
	const family = record.readUInt8(128) as 4 | 6;
	const protocol = PROTOCOLS[record.readUInt8(129)] ?? `protocol ${record.readUInt8(129)}`;
	const ports = protocol === 'tcp' || protocol === 'udp';
	const inode = record.readUInt32LE(32);
	const netns = names.netns.get(inode) ?? String(inode);
	const ifindex = record.readUInt32LE(36);
	return {
		time: Number(record.readBigUInt64LE(0)),
		cpu: record.readUInt16LE(60),
		kind: hook.kind,
		symbol: hook.symbol,
		skb: pointer(record, 8),
		head: pointer(record, 16),
		netns,
		device: cString(record.subarray(64, 80)) || null,
		ifindex,
		length: record.readUInt32LE(40),
		mark: record.readUInt32LE(44),
		socket: (flags & FLAG.socket) !== 0,
		softirq: (flags & FLAG.softirq) !== 0,
		family,
		protocol,
		source: address(record.subarray(80, 96), family),
		destination: address(record.subarray(96, 112), family),
		sourcePort: ports ? record.readUInt16LE(120) : null,
		destinationPort: ports ? record.readUInt16LE(122) : null,
		tcp:
			protocol === 'tcp'
				? {
						flags: record.readUInt8(130),
						sequence: record.readUInt32LE(112),
						acknowledged: record.readUInt32LE(116),
					}
				: null,
		icmp:
			protocol === 'icmp'
				? {
						type: record.readUInt8(131),
						code: record.readUInt8(132),
						id: record.readUInt16LE(124),
						sequence: record.readUInt16LE(126),
					}
				: null,
		program:
			hook.kind === 'program'
				? names.program(record.readUInt32LE(48), record.readInt32LE(52), {
						netns,
						ifindex,
						ingress: (flags & FLAG.ingress) !== 0,
					})
				: null,
		reason: hook.kind === 'drop' ? names.dropReason(record.readUInt32LE(56), record.readBigUInt64LE(24)) : null,
	};
}

/** Kernel pointers need 64 bits: text, which is all that comparing them needs. */
function pointer(record: Buffer, offset: number): string {
	return record.readBigUInt64LE(offset).toString(16);
}

function cString(bytes: Buffer): string {
	const end = bytes.indexOf(0);
	return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

function address(bytes: Buffer, family: 4 | 6): string {
	if (family === 4) return bytes.subarray(0, 4).join('.');
	const groups = bytes.toString('hex').match(/.{4}/g)!.join(':');
	return new SocketAddress({ address: groups, family: 'ipv6' }).address;
}
