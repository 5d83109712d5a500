/** The flows of containers that were turned to their forward proxies, as the kernel has them: the rows of `tls_flows`, in the layout of bpf/include/tls.h. */
import { isLoaded, withMap } from '../forward/datapath.ts';
import { addressOf, formatEndpoint } from './endpoints.ts';

export interface TurnedFlow {
	/** the container's, by which it is known */
	cgroup: bigint;
	protocol: 'tcp';
	/** of the program's end: `[2001:db8:0:2::10]:40000`; null: the kernel has not chosen it yet */
	source: string | null;
	/** where the program meant to go */
	destination: string;
	/** the port of the loopback address that it was turned to */
	proxy: number;
	/** since it was, in milliseconds */
	ageMs: number;
}

/** Offsets in struct tls_flow; an end is an address and 4 bytes of port. */
const BEGAN = 8;
const ORIGINAL = 16;
const PROGRAM = 36;
const PROXY = 56;
const PORT = 16;
/** struct tls_tuple */
const TUPLE_SIZE = 40;

/** In no order. One that ends meanwhile may be left out. */
export function readFlows(): TurnedFlow[] {
	if (!isLoaded('tls_connect')) return [];
	// CLOCK_MONOTONIC, which is the kernel's bpf_ktime_get_ns
	const now = process.hrtime.bigint();
	return rows().map(({ value }) => ({
		cgroup: value.readBigUInt64LE(0),
		protocol: 'tcp',
		source: hasPort(value, PROGRAM) ? endAt(value, PROGRAM) : null,
		destination: endAt(value, ORIGINAL),
		proxy: value.readUInt16BE(PROXY + PORT),
		ageMs: Number((now - value.readBigUInt64LE(BEGAN)) / 1_000_000n),
	}));
}

/** Whose there are: of tens of thousands no more is read than that. */
export function flowingCgroups(): Set<bigint> {
	return new Set(isLoaded('tls_connect') ? rows().map(({ value }) => value.readBigUInt64LE(0)) : []);
}

/** Of a container that is none any more: nobody else forgets them. */
export function forgetFlows(cgroup: bigint): void {
	const gone = rows().filter(({ value }) => value.readBigUInt64LE(0) === cgroup);
	withMap('tls_tuples', (map) => {
		for (const { value } of gone) map.delete(value.subarray(PROGRAM, PROGRAM + TUPLE_SIZE));
	});
	withMap('tls_flows', (map) => {
		for (const { key } of gone) map.delete(key);
	});
}

function rows(): { key: Buffer; value: Buffer }[] {
	return withMap('tls_flows', (map) =>
		map.keys().flatMap((key) => {
			const value = map.lookup(key);
			return value ? [{ key, value }] : [];
		}),
	);
}

const hasPort = (value: Buffer, at: number) => value.readUInt16BE(at + PORT) !== 0;

function endAt(value: Buffer, at: number): string {
	return formatEndpoint({ address: addressOf(value.subarray(at)), port: value.readUInt16BE(at + PORT) });
}
