/** Past the host's IP stack: redirect_neigh out, redirect_peer in. The programs are bpf/redirect.bpf.c. */
import { closeSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { addressBytes, deviceIndex, ownAddresses } from '../addresses.ts';
import { getPinned, pin } from '../libbpf/attach.ts';
import { BpfMap, u32 } from '../libbpf/map.ts';
import { BpfObject } from '../libbpf/object.ts';
import { bpfObjectPath } from '../objects.ts';
import { type Attachment, attach, attachments, detachOne, PIN_ROOT } from './attach.ts';

const PROGRAMS = ['egress_neigh', 'ingress_peer'] as const;
/** bytes of a key and of a value, as in redirect.bpf.c */
const MAPS = { endpoints: [16, 4], next_hops: [4, 24] } as const;
const NEXT_HOP_SIZE = MAPS.next_hops[1];

const NEXT_HOP_IPV6 = 0;
const NEXT_HOP_IPV4 = 1;
const AF_INET = 2;
const AF_INET6 = 10;

export interface Uplink {
	/** a device of the host, e.g. `eth0` */
	device: string;
	/** the router or peer beyond it; without, the kernel's FIB is asked for every packet */
	ipv6NextHop?: string;
	ipv4NextHop?: string;
}

/** Open file descriptors; everything behind them is pinned. */
class Datapath implements Disposable {
	readonly programs: Record<(typeof PROGRAMS)[number], number>;
	readonly endpoints: BpfMap;
	readonly nextHops: BpfMap;

	/** Finds what an earlier call pinned, or loads and pins it. */
	constructor() {
		if (!existsSync(pinPath('maps', 'next_hops'))) loadAndPin();
		const [egress_neigh, ingress_peer] = PROGRAMS.map((name) => getPinned(pinPath('programs', name)));
		this.programs = { egress_neigh: egress_neigh!, ingress_peer: ingress_peer! };
		this.endpoints = new BpfMap('endpoints', getPinned(pinPath('maps', 'endpoints')), ...MAPS.endpoints);
		this.nextHops = new BpfMap('next_hops', getPinned(pinPath('maps', 'next_hops')), ...MAPS.next_hops);
	}

	[Symbol.dispose](): void {
		for (const fd of [...Object.values(this.programs), this.endpoints.fd, this.nextHops.fd]) closeSync(fd);
	}
}

/** Maps are filled before the programs are attached: no packet meets a program that knows nothing. */
export function redirectContainer(
	container: { device: string; addresses: readonly string[]; hook: 'netkit' | 'tc' },
	uplink: Uplink,
): Attachment[] {
	using datapath = new Datapath();
	for (const address of ownAddresses()) datapath.endpoints.update(addressBytes(address), u32(0));
	for (const address of container.addresses) {
		datapath.endpoints.update(addressBytes(address), u32(deviceIndex(container.device)));
	}
	const ifindex = deviceIndex(uplink.device);
	datapath.nextHops.update(u32(NEXT_HOP_IPV6), nextHop(ifindex, uplink.ipv6NextHop));
	datapath.nextHops.update(u32(NEXT_HOP_IPV4), nextHop(ifindex, uplink.ipv4NextHop));
	const { egress_neigh, ingress_peer } = datapath.programs;
	return [
		attach({ name: 'egress_neigh', fd: egress_neigh }, { ...container, point: 'from-container' }),
		attach({ name: 'ingress_peer', fd: ingress_peer }, { device: uplink.device, hook: 'tc', point: 'from-wire' }),
	];
}

/** Nothing is redirected to these any more. Once no container is left, the uplink is as it was before the first. */
export function forgetAddresses(addresses: readonly string[]): void {
	if (!existsSync(pinPath('maps', 'endpoints'))) return;
	if (forget(addresses) > 0) return;
	for (const one of attachments()) if (one.program === 'ingress_peer') detachOne(one);
	rmSync(PIN_ROOT, { recursive: true });
}

/** Answers how many addresses of containers are left. */
function forget(addresses: readonly string[]): number {
	using datapath = new Datapath();
	const { endpoints } = datapath;
	for (const address of addresses) endpoints.delete(addressBytes(address));
	return endpoints.keys().filter((key) => endpoints.lookup(key)?.readUInt32LE(0)).length;
}

/** struct next_hop { __u32 ifindex, family; struct address address; } */
function nextHop(ifindex: number, address: string | undefined): Buffer {
	const bytes = Buffer.alloc(NEXT_HOP_SIZE);
	bytes.writeUInt32LE(ifindex, 0);
	if (address === undefined) return bytes;
	bytes.writeUInt32LE(isIPv4(address) ? AF_INET : AF_INET6, 4);
	addressBytes(address).copy(bytes, 8);
	return bytes;
}

function loadAndPin(): void {
	for (const kind of ['programs', 'maps'] as const) mkdirSync(join(PIN_ROOT, kind), { recursive: true });
	using object = BpfObject.open(bpfObjectPath('redirect')).load();
	for (const name of PROGRAMS) pin(object.programFd(name), pinPath('programs', name));
	for (const name of ['endpoints', 'next_hops'] as const)
		pin(object.map(name, ...MAPS[name]).fd, pinPath('maps', name));
}

function pinPath(kind: 'programs' | 'maps', name: string): string {
	return join(PIN_ROOT, kind, name);
}
