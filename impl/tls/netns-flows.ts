/**
 * The flows of a netns that were turned to its forward proxy: the rows of `tls_ns_aliases`, in the layout of bpf/tls_netns.bpf.c. Of TCP
 * the kernel's own sockets there say which have not ended; nobody else keeps count.
 */
import { readFileSync } from 'node:fs';
import { type ContainerSpec, netnsOf } from '../container.ts';
import { isLoaded, withMap } from '../forward/datapath.ts';
import { markOf } from '../forward/tables.ts';
import { inNetns } from '../netns.ts';
import { addressOf, formatEndpoint } from './endpoints.ts';
import { QUIET_MS, readEnd, type TurnedFlow } from './flows.ts';

/** struct tls_ns_alias, and struct tls_ns_flow */
const ALIAS = { protocol: 4, address: 8 } as const;
const FLOW = { used: 0, original: 8, proxy: 28 } as const;
const TCP = 6;

interface Alias {
	address: string;
	tcp: boolean;
	destination: string;
	proxy: number;
	ageMs: number;
}

/** In no order. `ageMs`: since its program sent to that destination. */
export function netnsFlows(spec: ContainerSpec): TurnedFlow[] {
	const { netns } = markOf(spec);
	if (netns === null || !isLoaded('tls_netns')) return [];
	const aliases = readAliases(netns);
	const owner = BigInt(netns);
	const datagrams = aliases
		.filter(({ tcp, ageMs }) => !tcp && ageMs < QUIET_MS)
		.map(({ destination, proxy, ageMs }) => ({
			owner,
			protocol: 'udp' as const,
			source: null,
			destination,
			proxy,
			ageMs,
		}));
	const byAddress = new Map(aliases.filter(({ tcp }) => tcp).map((one) => [one.address, one]));
	const connections = acceptedIn(netnsOf(spec)).flatMap(({ local, port, alias }) => {
		const of = byAddress.get(alias);
		if (!of) return [];
		const { destination, proxy, ageMs } = of;
		const source = formatEndpoint({ address: local, port });
		return [{ owner, protocol: 'tcp' as const, source, destination, proxy, ageMs }];
	});
	return [...datagrams, ...connections];
}

function readAliases(netns: number): Alias[] {
	// CLOCK_MONOTONIC, which is the kernel's bpf_ktime_get_ns
	const now = process.hrtime.bigint();
	return withMap('tls_ns_aliases', (map) =>
		map.keys().flatMap((key) => {
			const value = key.readUInt32LE(0) === netns ? map.lookup(key) : null;
			if (!value) return [];
			return [
				{
					address: addressOf(key.subarray(ALIAS.address)),
					tcp: key.readUInt32LE(ALIAS.protocol) === TCP,
					destination: formatEndpoint(readEnd(value, FLOW.original)),
					proxy: value.readUInt16BE(FLOW.proxy),
					ageMs: Math.max(0, Number((now - value.readBigUInt64LE(FLOW.used)) / 1_000_000n)),
				},
			];
		}),
	);
}

/** include/net/tcp_states.h: what has no socket any more, or no other end. */
const NO_FLOW = ['06', '07', '0A'];

/** Of every connection there: the other end's address, which may be an alias, and its port, which is then the program's. */
function acceptedIn(netns: string): { local: string; port: number; alias: string }[] {
	const lines = inNetns(netns, () =>
		['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/thread-self/net/${name}`, 'latin1').split('\n').slice(1)),
	);
	return lines.flatMap((line) => {
		const [, local, remote, state] = /: ([0-9A-F:]+) ([0-9A-F:]+) ([0-9A-F]{2}) /.exec(line) ?? [];
		if (!local || !remote || NO_FLOW.includes(state!)) return [];
		return [
			{ local: socketAddress(local), port: Number.parseInt(remote.split(':')[1]!, 16), alias: socketAddress(remote) },
		];
	});
}

/** Words of this machine's byte order, as /proc/net/tcp prints them. */
function socketAddress(text: string): string {
	const words = Buffer.from(text.split(':')[0]!, 'hex').swap32();
	return words.length === 4 ? words.join('.') : addressOf(words);
}
