/** The flows of identity containers that were turned to their forward proxies, as the kernel has them: the rows of `tls_flows` and `tls_aliases`, in the layout of bpf/include/tls.h and bpf/tls_udp.bpf.c. */
import { statSync } from 'node:fs';
import { addressBytes } from '../addresses.ts';
import { isLoaded, withMap } from '../forward/datapath.ts';
import { u32 } from '../libbpf/map.ts';
import { addressOf, type Endpoint, formatEndpoint } from './endpoints.ts';

export interface TurnedFlow {
	/** the container: its cgroup's id, or the inode of its netns */
	owner: bigint;
	protocol: 'tcp' | 'udp';
	/** of the program's end: `[2001:db8:0:2::10]:40000`; null: of UDP, and of TCP before the kernel has chosen its port */
	source: string | null;
	/** where the program meant to go */
	destination: string;
	/** the port that it was turned to */
	proxy: number;
	/** since it was, in milliseconds; of a socket that is not connected, and in a netns, since it sent */
	ageMs: number;
}

/** Offsets in struct tls_flow; an end is an address and 4 bytes of port. */
const BEGAN = 8;
const ORIGINAL = 16;
const PROGRAM = 36;
const PROXY = 56;
const PROTOCOL = 76;
const PORT = 16;
const UDP = 17;
/** struct tls_tuple */
const TUPLE_SIZE = 40;

/** In no order. One that ends meanwhile may be left out. */
export function readFlows(): TurnedFlow[] {
	if (!isLoaded('tls_connect')) return [];
	// CLOCK_MONOTONIC, which is the kernel's bpf_ktime_get_ns
	const now = process.hrtime.bigint();
	const connected: TurnedFlow[] = rows('tls_flows').map(({ value }) => ({
		owner: value.readBigUInt64LE(0),
		protocol: value.readUInt32LE(PROTOCOL) === UDP ? 'udp' : 'tcp',
		source: hasPort(value, PROGRAM) ? endAt(value, PROGRAM) : null,
		destination: endAt(value, ORIGINAL),
		proxy: value.readUInt16BE(PROXY + PORT),
		ageMs: Number((now - value.readBigUInt64LE(BEGAN)) / 1_000_000n),
	}));
	return [...connected, ...readAliases(now)];
}

/** struct tls_alias */
const ALIAS = { used: 16, original: 24, connected: 60, proxy: 62 } as const;
/** RFC 4787: what is quiet for longer, a NAT may forget. Nothing tells of a socket that is closed. */
export const QUIET_MS = 120_000;

function readAliases(now: bigint): TurnedFlow[] {
	if (!isLoaded('tls_udp')) return [];
	return rows('tls_aliases')
		.filter(({ value }) => value.readUInt16LE(ALIAS.connected) === 0)
		.map(({ value }) => ({
			owner: value.readBigUInt64LE(0),
			protocol: 'udp' as const,
			source: null,
			destination: endAt(value, ALIAS.original),
			proxy: value.readUInt16BE(ALIAS.proxy),
			ageMs: Number((now - value.readBigUInt64LE(ALIAS.used)) / 1_000_000n),
		}))
		.filter(({ ageMs }) => ageMs < QUIET_MS);
}

/** Of the original destination, in struct tls_ns_flow */
const IN_NETNS = 8;

/** Where a datagram was meant to go that comes from such an address, in this process's netns; null: nobody turned it here. */
export function behindAlias(address: string): Endpoint | null {
	const alias = addressBytes(address);
	if (isLoaded('tls_netns')) {
		const key = Buffer.concat([u32(statSync('/proc/self/ns/net').ino), u32(UDP), alias]);
		const value = withMap('tls_ns_aliases', (map) => map.lookup(key));
		if (value) return readEnd(value, IN_NETNS);
	}
	const value = isLoaded('tls_udp') ? withMap('tls_aliases', (map) => map.lookup(alias)) : null;
	return value && readEnd(value, ALIAS.original);
}

/** Whose there are: of tens of thousands no more is read than that. */
export function flowingCgroups(): Set<bigint> {
	return new Set(isLoaded('tls_connect') ? rows('tls_flows').map(({ value }) => value.readBigUInt64LE(0)) : []);
}

/** Of a container that is none any more: nobody else forgets them. */
export function forgetFlows(cgroup: bigint): void {
	const gone = rows('tls_flows').filter(({ value }) => value.readBigUInt64LE(0) === cgroup);
	withMap('tls_tuples', (map) => {
		for (const { value } of gone) map.delete(value.subarray(PROGRAM, PROGRAM + TUPLE_SIZE));
	});
	withMap('tls_flows', (map) => {
		for (const { key } of gone) map.delete(key);
	});
	if (!isLoaded('tls_udp')) return;
	const aliases = rows('tls_aliases').filter(({ value }) => value.readBigUInt64LE(0) === cgroup);
	withMap('tls_aliases', (map) => {
		for (const { key } of aliases) map.delete(key);
	});
}

function rows(name: 'tls_flows' | 'tls_aliases'): { key: Buffer; value: Buffer }[] {
	return withMap(name, (map) =>
		map.keys().flatMap((key) => {
			const value = map.lookup(key);
			return value ? [{ key, value }] : [];
		}),
	);
}

const hasPort = (value: Buffer, at: number) => value.readUInt16BE(at + PORT) !== 0;

function endAt(value: Buffer, at: number): string {
	return formatEndpoint(readEnd(value, at));
}

export function readEnd(value: Buffer, at: number): Endpoint {
	return { address: addressOf(value.subarray(at)), port: value.readUInt16BE(at + PORT) };
}
