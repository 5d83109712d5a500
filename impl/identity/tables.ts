/** What the programs know of an identity container: the rows of their maps, in the layout of bpf/include/identity.h. */
import { addressBytes } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { withMap } from '../forward/datapath.ts';
import { addressesOf, type Row } from '../forward/tables.ts';
import { u32 } from '../libbpf/map.ts';
import { type Count, sumCounts } from './counts.ts';
import { MAX_RANGES, type PortRange, type Share } from './spec.ts';

const FLAG = { ipv4Loopback: 1, raw: 2 } as const;
const PROTOCOL = { tcp: 6, udp: 17 } as const;
const NO_ADDRESS = Buffer.alloc(16);
/** struct identity, of a container that is none any more */
const NOBODY = Buffer.alloc(112);

/** 127.64.0.0/10: where programs without IPv6 find each other in a container without IPv4. By the end of the cgroup's id. */
export function loopbackOf(cgroup: bigint): string {
	const end = Number(cgroup & 0x3f_ffffn);
	return `127.${64 + (end >> 16)}.${(end >> 8) & 255}.${end & 255}`;
}

/** struct identity, in the storage of the cgroup: there is one only once a program hangs on that. */
export function identityRow(spec: ContainerSpec, cgroup: bigint): Row {
	const { ports, reserved, raw } = spec.identity!;
	const value = Buffer.concat([
		cgroupKey(cgroup),
		spec.ipv6 ? addressBytes(spec.ipv6) : NO_ADDRESS,
		addressBytes(spec.ipv4 ?? loopbackOf(cgroup)),
		u32((spec.ipv4 === null ? FLAG.ipv4Loopback : 0) | (raw ? FLAG.raw : 0)),
		u32(0),
		rangeBytes(ports),
		rangeBytes(reserved),
	]);
	return { map: 'identities', key: cgroupKey(cgroup), value };
}

export function shareRows(spec: ContainerSpec, cgroup: bigint): Row[] {
	return spec.identity!.shares.map((share) => ({ map: 'shares', key: shareKey(share), value: cgroupKey(cgroup) }));
}

export function shareKey({ address, port, protocol }: Share): Buffer {
	const network = Buffer.alloc(4);
	network.writeUInt16BE(port);
	return Buffer.concat([addressBytes(address), network, u32(PROTOCOL[protocol])]);
}

export function writeIdentity(spec: ContainerSpec, cgroup: bigint): void {
	const { key, value } = identityRow(spec, cgroup);
	withMap('identities', (map) => map.update(key, value));
	withMap('shares', (map) => {
		for (const row of shareRows(spec, cgroup)) map.update(row.key, row.value);
	});
}

/** A cgroup that goes takes its rows along; of one that stays they say nothing any more, its counts too. */
export function forgetIdentity(spec: ContainerSpec, cgroup: bigint | null): void {
	withMap('shares', (map) => {
		for (const { key } of shareRows(spec, 0n)) map.delete(key);
	});
	if (cgroup === null) return;
	const key = cgroupKey(cgroup);
	if (withMap('identities', (map) => map.lookup(key)) === null) return;
	withMap('identities', (map) => map.update(key, NOBODY));
	withMap('counts', (map) => map.update(key, Buffer.alloc(map.lookupEachCpu(key)!.length)));
}

/** Since it was added. */
export function countsOf(cgroup: bigint): Record<Count, number> | null {
	const row = withMap('counts', (map) => map.lookupEachCpu(cgroupKey(cgroup)));
	return row && sumCounts(row);
}

/** Whether the address is on the host for a container's sake, and its own. */
export function ownedAddresses(spec: ContainerSpec): { address: string; add: string; remove: string }[] {
	return addressesOf(spec).map((address) => {
		const six = address.includes(':');
		const prefix = `${address}/${six ? 128 : 32} dev lo`;
		// so that nobody else's packets are sent from it: RFC 6724, rule 3, and by its scope
		const last = six ? 'nodad preferred_lft 0' : 'scope host';
		return { address, add: `addr add ${prefix} ${last}`, remove: `addr del ${prefix}` };
	});
}

function cgroupKey(cgroup: bigint): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(cgroup);
	return bytes;
}

function rangeBytes(ranges: readonly PortRange[]): Buffer {
	const bytes = Buffer.alloc(4 * MAX_RANGES);
	for (const [slot, { first, last }] of ranges.entries()) {
		bytes.writeUInt16LE(first, 4 * slot);
		bytes.writeUInt16LE(last, 4 * slot + 2);
	}
	return bytes;
}
