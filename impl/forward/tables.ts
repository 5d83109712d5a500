/** What the programs know of a container: the rows of their maps, in the layout of bpf/include/policy.h. */
import { statSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { addressBytes, deviceIndex, ownAddresses } from '../addresses.ts';
import { type ContainerSpec, MAX_UPLINKS, type Uplink } from '../container.ts';
import { type PairKind, pairKind } from '../devices/device.ts';
import { slaveId } from '../devices/ipvlan.ts';
import { u32 } from '../libbpf/map.ts';
import { NETNS_DIR, namedNetns } from '../netns.ts';
import { ensureLoaded, isLoaded, withMap } from './datapath.ts';

const AF_INET = 2;
const AF_INET6 = 10;

const FLAG = { ethernet: 1, netkit: 2, trusted: 4 } as const;
const DELIVERY = { stack: 0, redirect: 1, fib: 1, 'redirect-egress': 2, native: 3 } as const;
const JUDGED = { byDevice: 1, bySlave: 2 } as const;
/** An address that no packet has: of a container without that family. */
const NO_ADDRESS = Buffer.alloc(16, 0xff);

/** of `slave` in struct endpoint */
const SLAVE_OFFSET = 4;

/** struct container, by the index of the device's host end */
export function writeContainer(spec: ContainerSpec, kind: PairKind, hostMac: string): void {
	const bytes = Buffer.concat([
		spec.ipv6 ? addressBytes(spec.ipv6) : NO_ADDRESS,
		spec.ipv4 ? addressBytes(spec.ipv4) : NO_ADDRESS,
		tenantBytes(spec.tenant),
		uplinkBytes(spec.uplinks),
		u32(
			(kind.ethernet ? FLAG.ethernet : 0) |
				(kind.hook === 'netkit' ? FLAG.netkit : 0) |
				(spec.guard ? 0 : FLAG.trusted),
		),
		Buffer.from(hostMac.replaceAll(':', ''), 'hex'),
		Buffer.alloc(2),
	]);
	withMap('containers', (map) => map.update(u32(deviceIndex(spec.name)), bytes));
}

/** struct endpoint, for each of its addresses; and those of the host itself, which are as they are now. */
export function writeEndpoints(spec: ContainerSpec): void {
	const pair = pairKind(spec.device);
	const bytes = endpoint({
		ifindex: deviceIndex(pair ? spec.name : spec.uplinks[0]!.device),
		slave: pair ? 0 : slaveId(spec.name),
		netns: pair ? 0 : netnsInode(spec),
		delivery: DELIVERY[spec.forward],
		uplinks: spec.uplinks,
		tenant: spec.tenant,
	});
	withMap('endpoints', (map) => {
		for (const address of ownAddresses()) map.update(addressBytes(address), endpoint({ ifindex: 0 }));
		for (const address of addressesOf(spec)) map.update(addressBytes(address), bytes);
	});
}

/** Tenants that may talk, in both orders. */
export function writeAllowed({ tenant, allow }: ContainerSpec): void {
	withMap('allowed', (map) => {
		for (const pair of pairsOf(tenant, allow)) map.update(pair, Buffer.from([1]));
	});
}

export function writeNextHops({ uplinks }: ContainerSpec): void {
	withMap('next_hops', (map) => {
		for (const { device, ipv6NextHop, ipv4NextHop } of uplinks) {
			for (const address of [ipv6NextHop, ipv4NextHop]) {
				if (address === undefined) continue;
				const family = isIPv4(address) ? AF_INET : AF_INET6;
				map.update(Buffer.concat([u32(deviceIndex(device)), u32(family)]), addressBytes(address));
			}
		}
	});
}

/** Whose sockets may send by an uplink that has ipvlan slaves: all containers' netns, and how they are judged. */
export function writeNetns(specs: readonly ContainerSpec[]): void {
	ensureLoaded('ipvlan');
	withMap('netnses', (map) => {
		for (const spec of specs) {
			if (spec.device === 'none') continue;
			map.update(u32(netnsInode(spec)), u32(pairKind(spec.device) ? JUDGED.byDevice : JUDGED.bySlave));
		}
	});
}

/** Forgets a container, whole or half made. `others` are those that stay: what they use too is kept. */
export function forget(spec: ContainerSpec, others: readonly ContainerSpec[]): void {
	if (!isLoaded()) return;
	const hostEnds = withMap('endpoints', (map) => {
		const kept = new Set(others.flatMap(addressesOf));
		return addressesOf(spec)
			.filter((address) => !kept.has(address))
			.flatMap((address) => {
				const row = map.lookup(addressBytes(address));
				map.delete(addressBytes(address));
				return row && !row.readUInt32LE(SLAVE_OFFSET) ? [row.readUInt32LE(0)] : [];
			});
	});
	withMap('allowed', (map) => {
		const kept = new Set(others.flatMap(({ tenant, allow }) => pairsOf(tenant, allow).map(String)));
		for (const pair of pairsOf(spec.tenant, spec.allow)) if (!kept.has(String(pair))) map.delete(pair);
	});
	for (const ifindex of new Set(hostEnds)) {
		withMap('containers', (map) => map.delete(u32(ifindex)));
		withMap('drops', (map) => {
			for (const key of map.keys()) if (key.readUInt32LE(0) === ifindex) map.delete(key);
		});
	}
	if (isLoaded('ipvlan')) forgetNetns(others);
}

function forgetNetns(others: readonly ContainerSpec[]): void {
	const there = namedNetns();
	const kept = new Set(others.filter(({ name, netns }) => there.includes(netns ?? name)).map(netnsInode));
	withMap('netnses', (map) => {
		for (const key of map.keys()) if (!kept.has(key.readUInt32LE(0))) map.delete(key);
	});
}

export function addressesOf({ ipv6, ipv4 }: Pick<ContainerSpec, 'ipv6' | 'ipv4'>): string[] {
	return [ipv6, ipv4].filter((address) => address !== null);
}

/** By which the kernel knows a netns. Throws Node's own error where there is none of that name. */
export function netnsInode({ name, netns }: Pick<ContainerSpec, 'name' | 'netns'>): number {
	return statSync(`${NETNS_DIR}/${netns ?? name}`).ino;
}

function pairsOf(tenant: string, allow: readonly string[]): Buffer[] {
	const own = tenantBytes(tenant);
	return allow.map(tenantBytes).flatMap((other) => [Buffer.concat([own, other]), Buffer.concat([other, own])]);
}

function endpoint({
	ifindex,
	slave = 0,
	netns = 0,
	delivery = 0,
	uplinks = [],
	tenant = '',
}: {
	ifindex: number;
	slave?: number;
	netns?: number;
	delivery?: number;
	uplinks?: readonly Uplink[];
	tenant?: string;
}): Buffer {
	return Buffer.concat([...[ifindex, slave, netns, delivery].map(u32), uplinkBytes(uplinks), tenantBytes(tenant)]);
}

function uplinkBytes(uplinks: readonly Uplink[]): Buffer {
	const bytes = Buffer.alloc(4 * MAX_UPLINKS);
	for (const [slot, { device }] of uplinks.entries()) bytes.writeUInt32LE(deviceIndex(device), 4 * slot);
	return bytes;
}

/** Its name, with zeros behind. */
function tenantBytes(tenant: string): Buffer {
	const bytes = Buffer.alloc(16);
	bytes.write(tenant, 'latin1');
	return bytes;
}
