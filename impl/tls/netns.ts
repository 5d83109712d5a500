/** Containers with a netns of their own whose flows are turned: what bpf/tls_netns.bpf.c knows of each, in its layout. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { addressBytes, deviceIndex } from '../addresses.ts';
import { type ContainerSpec, netnsOf } from '../container.ts';
import { INNER, pairKind } from '../devices/device.ts';
import { isIpvlan } from '../devices/ipvlan.ts';
import { DatapathError } from '../errors.ts';
import { hasTcxLinks, isLoaded, type MapName, withMap } from '../forward/datapath.ts';
import { markOf } from '../forward/tables.ts';
import { ipJson } from '../ip/ip.ts';
import { u32 } from '../libbpf/map.ts';
import { inNetns } from '../netns.ts';
import { ownerOfMatch } from './policies.ts';

/** The cgroup of a forward proxy. */
export interface ProxyCgroup {
	path: string;
	id: bigint;
}

/** struct tls_ns */
const NS = { cgroup: 32, proxy: 40, ifindex: 44, mac: 48, size: 56 } as const;
/** An address that no packet has: of a container without that family. */
const NO_ADDRESS = Buffer.alloc(16, 0xff);
/** Entries of tls_ns_proxies */
const PROXIES = 16_384;
const STRICT = 1;

/** The inodes of those that the programs know. */
export function knownNetns(): number[] {
	if (!isLoaded('tls_netns')) return [];
	return withMap('tls_ns', (map) => map.keys().map((key) => key.readUInt32LE(0)));
}

/** Throws a DatapathError for a container whose packets no program of the host's is sure to see, and on a kernel without such programs. */
export function refuseNetns(spec: ContainerSpec): void {
	const { name, device } = spec;
	const hint = `pathproof net show ${name}`;
	if (isIpvlan(device))
		throw new DatapathError(
			`${name} is on ${device}, which passes no device of the host's: by a packet socket its owner would send in clear`,
			{ hint: 'veth, netkit-l2 or netkit-l3' },
		);
	if (!pairKind(device)) throw new DatapathError(`${name} uses the addresses of the host`, { hint });
	if (!hasTcxLinks())
		throw new DatapathError(
			`the owner of the netns of ${name} could take its programs away: this kernel has no links of tc programs (6.6)`,
			{ hint: 'a container of --mode identity' },
		);
	if (spec.ipv4 !== null && isStrict(netnsOf(spec)))
		throw new DatapathError(
			`rp_filter of ${INNER} is strict in the netns of ${name}, and drops what comes from an alias`,
			{
				hint: `ip netns exec ${netnsOf(spec)} sysctl -w net.ipv4.conf.${INNER}.rp_filter=2`,
			},
		);
}

/** Of IPv4 the larger of both counts. Of IPv6 there is no such thing. */
function isStrict(netns: string): boolean {
	return inNetns(netns, () => {
		const values = ['all', INNER].map((name) =>
			Number(readFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, 'utf8')),
		);
		return Math.max(...values) === STRICT;
	});
}

/** What its row ought to be. Null: its netns or its device is gone. */
export async function netnsRow(spec: ContainerSpec, proxy: bigint): Promise<{ key: Buffer; value: Buffer } | null> {
	const { netns } = markOf(spec);
	if (netns === null) return null;
	const links = await ipJson<{ ifname: string; ifindex: number; address?: string }>(netnsOf(spec), ['link']);
	const inner = links.find(({ ifname }) => ifname === INNER);
	if (!inner) return null;
	const value = Buffer.alloc(NS.size);
	addressOrNone(spec.ipv6).copy(value, 0);
	addressOrNone(spec.ipv4).copy(value, NO_ADDRESS.length);
	value.writeBigUInt64LE(proxy, NS.cgroup);
	value.writeUInt32LE(slotOf(netns), NS.proxy);
	value.writeUInt32LE(inner.ifindex, NS.ifindex);
	Buffer.from((inner.address ?? '').replaceAll(':', ''), 'hex').copy(value, NS.mac);
	return { key: u32(netns), value };
}

/** The id of the cgroup that its proxy was said to be in; null: its row is gone. */
export function proxyOf(spec: ContainerSpec): bigint | null {
	const { netns } = markOf(spec);
	const row = netns === null || !isLoaded('tls_netns') ? null : withMap('tls_ns', (map) => map.lookup(u32(netns)));
	return row?.readBigUInt64LE(NS.cgroup) ?? null;
}

function addressOrNone(address: string | null): Buffer {
	return address === null ? NO_ADDRESS : addressBytes(address);
}

export function hasRow({ key, value }: { key: Buffer; value: Buffer }): boolean {
	return isLoaded('tls_netns') && withMap('tls_ns', (map) => map.lookup(key)?.equals(value)) === true;
}

/** The place of its proxy among those of all: its own, or the first that is free. */
function slotOf(netns: number): number {
	if (!isLoaded('tls_netns')) return 0;
	const taken = new Map(
		withMap('tls_ns', (map) =>
			map.keys().flatMap((key) => {
				const row = map.lookup(key);
				return row ? [[key.readUInt32LE(0), row.readUInt32LE(NS.proxy)]] : [];
			}),
		) as [number, number][],
	);
	const all = new Set(taken.values());
	const slot = taken.get(netns) ?? Array.from({ length: PROXIES }, (_, n) => n).find((n) => !all.has(n));
	if (slot !== undefined) return slot;
	throw new DatapathError(`${PROXIES} netns have a forward proxy already`, { hint: 'pathproof net tls ls' });
}

/** The proxy first: what it sends is never turned to itself. */
export async function writeNetns(spec: ContainerSpec, { path, id }: ProxyCgroup): Promise<void> {
	const row = await netnsRow(spec, id);
	if (!row) throw new DatapathError(`${INNER} of ${spec.name} is gone`, { hint: 'pathproof net gc' });
	const { key, value } = row;
	const cgroup = openSync(path, 'r');
	try {
		withMap('tls_ns_proxies', (map) => map.update(u32(value.readUInt32LE(NS.proxy)), u32(cgroup)));
	} finally {
		closeSync(cgroup);
	}
	withMap('tls_ns', (map) => map.update(key, value));
	withMap('tls_ns_ends', (map) => map.update(u32(deviceIndex(spec.name)), key));
}

/** By the inode, with all that hangs on it. Its programs are detached by then: without a row they drop everything. */
export function forgetNetns(inode: number): void {
	const key = u32(inode);
	deleteRows('tls_ns_policies', (row) => ownerOfMatch(row) === BigInt(inode));
	deleteRows('tls_ns_aliases', (row) => row.readUInt32LE(0) === inode);
	deleteRows('tls_ns_pieces', (row) => row.readUInt32LE(0) === inode);
	deleteRows('tls_ns_ends', (_, value) => value.equals(key));
	withMap('tls_ns', (map) => {
		const row = map.lookup(key);
		if (row) withMap('tls_ns_proxies', (proxies) => proxies.delete(u32(row.readUInt32LE(NS.proxy))));
		map.delete(key);
	});
}

function deleteRows(name: MapName, isIts: (key: Buffer, value: Buffer) => boolean): void {
	withMap(name, (map) => {
		for (const key of map.keys()) {
			const value = map.lookup(key);
			if (value && isIts(key, value)) map.delete(key);
		}
	});
}
