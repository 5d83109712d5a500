/** What the programs know of a container: the rows of their maps, in the layout of bpf/include/policy.h. */
import { statSync } from 'node:fs';
import { addressBytes, deviceIndex, deviceName, findDevice } from '../addresses.ts';
import { type ContainerSpec, MAX_UPLINKS, type Uplink } from '../container.ts';
import { type PairKind, pairKind } from '../devices/device.ts';
import { isIpvlan, slaveId } from '../devices/ipvlan.ts';
import { u32 } from '../libbpf/map.ts';
import { hasNetns, NETNS_DIR } from '../netns.ts';
import type { Others } from '../state/records.ts';
import { isLoaded, type MapName, withMap } from './datapath.ts';
import { REASONS, type Reason } from './reasons.ts';

const FLAG = { ethernet: 1, netkit: 2, trusted: 4 } as const;
const DELIVERY = { stack: 0, redirect: 1, fib: 1, 'redirect-egress': 2, native: 3 } as const;
/** An address that no packet has: of a container without that family. */
const NO_ADDRESS = Buffer.alloc(16, 0xff);

export interface Row {
	map: MapName;
	key: Buffer;
	value: Buffer;
}

/** struct container, by the index of the device's host end */
export function writeContainer(spec: ContainerSpec, kind: PairKind, hostMac: string): void {
	put([containerRow(spec, kind, hostMac)]);
}

export function containerRow(spec: ContainerSpec, kind: PairKind, hostMac: string): Row {
	const value = Buffer.concat([
		containerAddresses(spec),
		nextHopBytes(spec),
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
	return { map: 'containers', key: u32(deviceIndex(spec.name)), value };
}

/** struct endpoint, for each of its addresses; and for `hosts`, those of the host itself, which are as they are now. */
export function writeEndpoints(spec: ContainerSpec, hosts: readonly string[]): void {
	const slave = pairKind(spec.device) ? 0 : slaveId(spec.name);
	put([...hostRows(hosts), ...endpointRows(spec, slave)]);
}

function hostRows(hosts: readonly string[]): Row[] {
	const value = endpoint({ ifindex: 0 });
	return hosts.map((address) => ({ map: 'endpoints', key: addressBytes(address), value }));
}

export interface HostRows {
	/** addresses of the host that no row is of */
	missing: string[];
	/** keys of rows of addresses that the host has no more */
	stale: Buffer[];
}

/** What the programs know of the host, beside `hosts`, the addresses that it has. */
export function compareHostRows(hosts: readonly string[]): HostRows {
	return withMap('endpoints', (map) => {
		const known = map.keys().filter((key) => map.lookup(key)?.readUInt32LE(0) === 0);
		const own = hosts.map((address) => ({ address, key: addressBytes(address) }));
		return {
			missing: own.filter(({ key }) => map.lookup(key) === null).map(({ address }) => address),
			stale: known.filter((one) => !own.some(({ key }) => key.equals(one))),
		};
	});
}

export function updateHostRows({ missing, stale }: HostRows): void {
	put(hostRows(missing));
	withMap('endpoints', (map) => {
		for (const key of stale) map.delete(key);
	});
}

/** `slave`: of ipvlan, as `slaveId` answers it while the device is in this netns. */
export function endpointRows(spec: ContainerSpec, slave: number): Row[] {
	const pair = pairKind(spec.device);
	const value = endpoint({
		ifindex: deviceIndex(pair ? spec.name : spec.uplinks[0]!.device),
		slave,
		netns: pair ? 0 : netnsInode(spec),
		delivery: DELIVERY[spec.forward],
		uplinks: spec.uplinks,
		tenant: spec.tenant,
	});
	return addressesOf(spec).map((address) => ({ map: 'endpoints', key: addressBytes(address), value }));
}

/** Tenants that may talk, in both orders. */
export function writeAllowed(spec: ContainerSpec): void {
	put(allowedRows(spec));
}

export function allowedRows({ tenant, allow }: ContainerSpec): Row[] {
	return pairsOf(tenant, allow).map((key) => ({ map: 'allowed', key, value: Buffer.from([1]) }));
}

/** Whether a container's programs know it as theirs. */
export function isEndpoint(address: string): boolean {
	if (!isLoaded()) return false;
	const row = withMap('endpoints', (map) => map.lookup(addressBytes(address)));
	// the host's own have no device
	return row !== null && row.readUInt32LE(0) !== 0;
}

/** A slave, as no tenant can change it: the index of its uplink, and its dev_id. Null: it is none, or its row is gone. */
export interface Slave {
	uplink: number;
	id: number;
}

/** As its endpoint has it: in its container's netns it may have any index. */
export function slaveOf(spec: ContainerSpec): Slave | null {
	if (!isIpvlan(spec.device)) return null;
	return withMap('endpoints', (map) => {
		const row = map.lookup(addressBytes(addressesOf(spec)[0]!));
		return row && slaveOfRow(row);
	});
}

/** Of struct endpoint. */
export function slaveOfRow(row: Buffer): Slave | null {
	const id = row.readUInt32LE(4);
	return id === 0 ? null : { uplink: row.readUInt32LE(0), id };
}

function put(rows: readonly Row[]): void {
	for (const name of new Set(rows.map(({ map }) => map)))
		withMap(name, (map) => {
			for (const row of rows) if (row.map === name) map.update(row.key, row.value);
		});
}

/** By which a container's rows are told from all others, as long as its device and its netns are there. */
export interface Mark {
	/** index of its host end; null: gone, or of ipvlan, which has none: what has its name is somebody's */
	hostEnd: number | null;
	/** null: gone */
	netns: number | null;
}

export function markOf(spec: ContainerSpec): Mark {
	return {
		hostEnd: pairKind(spec.device) ? findDevice(spec.name) : null,
		netns: hasNetns(spec.netns ?? spec.name) ? netnsInode(spec) : null,
	};
}

/**
 * Forgets a container, whole or half made, whose device is gone by now. `mark`: as it was before. `others` are those that stay: what
 * they use too is kept. In this order, so that whoever is killed between is found by the next: what hangs on a row goes before it.
 */
export function forget(spec: ContainerSpec, mark: Mark, others: Others): void {
	if (!isLoaded()) return;
	for (const key of hostEnds(spec, mark)) {
		forgetDrops({ ifindex: key.readUInt32LE(0), slave: 0 });
		withMap('containers', (map) => map.delete(key));
	}
	withMap('endpoints', (map) => {
		for (const address of addressesOf(spec)) {
			const row = map.lookup(addressBytes(address));
			if (!row || !(isOwn(row, mark) || !others().some((other) => addressesOf(other).includes(address)))) continue;
			const slave = slaveOfRow(row);
			if (slave) forgetDrops({ ifindex: slave.uplink, slave: slave.id });
			map.delete(addressBytes(address));
		}
	});
	if (spec.allow.length)
		withMap('allowed', (map) => {
			const kept = new Set(others().flatMap(({ tenant, allow }) => pairsOf(tenant, allow).map(String)));
			for (const pair of pairsOf(spec.tenant, spec.allow)) if (!kept.has(String(pair))) map.delete(pair);
		});
}

/** Of `endpoints`, without a look at the containers: of a device that is gone, or of the netns. */
function isOwn(row: Buffer, { netns }: Mark): boolean {
	const inode = row.readUInt32LE(8);
	return deviceName(row.readUInt32LE(0)) === null || (inode !== 0 && inode === netns);
}

/** Where packets are dropped: at a device of the host's, or at a slave of that. */
export interface DropPlace {
	ifindex: number;
	/** its dev_id; 0: the device itself */
	slave: number;
}

/** struct drop, and how many */
export function dropRows(): (DropPlace & { reason: Reason; count: number })[] {
	return withMap('drops', (map) =>
		map.keys().map((key) => ({
			ifindex: key.readUInt32LE(0),
			slave: key.readUInt32LE(4),
			reason: REASONS[key.readUInt32LE(8)] as Reason,
			count: Number(map.lookup(key)?.readBigUInt64LE(0) ?? 0n),
		})),
	);
}

/** What was dropped at a place that is gone. */
export function forgetDrops({ ifindex, slave }: DropPlace): void {
	withMap('drops', (map) => {
		for (const reason of REASONS.keys()) {
			const key = Buffer.concat([u32(ifindex), u32(slave), u32(reason)]);
			if (map.lookup(key)) map.delete(key);
		}
	});
}

/** The keys of its rows in `containers`: of one whose device was made, lost and made anew there may be several. */
function hostEnds(spec: ContainerSpec, { hostEnd }: Mark): Buffer[] {
	if (!pairKind(spec.device)) return [];
	const own = containerAddresses(spec);
	return withMap('containers', (map) => {
		const isIts = (key: Buffer) => map.lookup(key)?.subarray(0, own.length).equals(own);
		if (hostEnd !== null && isIts(u32(hostEnd))) return [u32(hostEnd)];
		return map.keys().filter(isIts);
	});
}

/** What struct container begins with. */
function containerAddresses({ ipv6, ipv4 }: Pick<ContainerSpec, 'ipv6' | 'ipv4'>): Buffer {
	return Buffer.concat([ipv6 ? addressBytes(ipv6) : NO_ADDRESS, ipv4 ? addressBytes(ipv4) : NO_ADDRESS]);
}

/** Beyond its first uplink, which is the only one of a container that is not routed by the host; zeros: none is told. */
function nextHopBytes({ uplinks }: Pick<ContainerSpec, 'uplinks'>): Buffer {
	const { ipv6NextHop, ipv4NextHop } = uplinks[0]!;
	return Buffer.concat(
		[ipv6NextHop, ipv4NextHop].map((hop) => (hop === undefined ? Buffer.alloc(16) : addressBytes(hop))),
	);
}

export function addressesOf({ ipv6, ipv4 }: Pick<ContainerSpec, 'ipv6' | 'ipv4'>): string[] {
	return [ipv6, ipv4].filter((address) => address !== null);
}

/** By which the kernel knows a netns. Throws Node's own error where there is none of that name. */
function netnsInode({ name, netns }: Pick<ContainerSpec, 'name' | 'netns'>): number {
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
