/**
 * The network of one container on this host: a netns, a device pair, addresses, routes, and the way its packets take. What is
 * made here lives in the kernel alone: netns, links, and pins below /sys/fs/bpf/pathproof.
 */
import { deviceIndex, stableMac } from './addresses.ts';
import { type DeviceKind, type DevicePair, deviceKind } from './devices/device.ts';
import { DatapathError } from './errors.ts';
import { type Attachment, attachments, detachOne } from './forward/attach.ts';
import { forgetAddresses, redirectContainer, type Uplink } from './forward/redirect.ts';
import { enableForwarding } from './forward/stack.ts';
import { ipBatch } from './ip/ip.ts';

export interface ContainerOptions {
	/** of the netns and of the device's host end: at most 15 characters */
	name: string;
	/** `veth`, `netkit-l2` or `netkit-l3` */
	device: string;
	forward: 'stack' | 'redirect';
	uplink: Uplink;
	/** without a prefix length */
	ipv6: string;
	ipv4: string;
}

/** The gateway of every container, on the host end of its device. IPv4 goes by it as well (RFC 5549, 5.2: d15662682db2). */
const GATEWAY = 'fe80::1';
const INNER = 'eth0';

/** Answers what was attached. The netns is made here and must not exist. */
export async function addContainer(options: ContainerOptions): Promise<Attachment[]> {
	const kind = deviceKind(options.device);
	const pair = devicePair(options.name);
	await ipBatch(null, hostCommands(options, kind, pair));
	await ipBatch(options.name, innerCommands(options, kind, pair));
	const attached = forward(options, kind);
	await ipBatch(null, kind.open(pair));
	return attached;
}

/** Takes away all that `addContainer` made, but for what other containers use too. */
export async function removeContainer({
	name,
	ipv6,
	ipv4,
}: Pick<ContainerOptions, 'name' | 'ipv6' | 'ipv4'>): Promise<void> {
	const ifindex = deviceIndex(name);
	forgetAddresses([ipv6, ipv4]);
	await ipBatch(null, [`link del ${name}`, `netns del ${name}`]);
	for (const one of attachments()) if (one.ifindex === ifindex) detachOne(one, true);
}

/** Takes a program from all devices that it is attached to. Throws a DatapathError where it is on none. */
export function detach(program: string): Attachment[] {
	const all = attachments();
	const found = all.filter((one) => one.program === program);
	if (!found.length) {
		const names = [...new Set(all.map((one) => one.program))];
		throw new DatapathError(`no program ${program} is attached`, {
			hint: names.length ? `attached are ${names.join(', ')}` : 'nothing of this datapath is attached',
		});
	}
	for (const one of found) detachOne(one);
	return found;
}

function forward({ name, forward, uplink, ipv6, ipv4 }: ContainerOptions, kind: DeviceKind): Attachment[] {
	switch (forward) {
		case 'stack':
			enableForwarding();
			return [];
		case 'redirect':
			return redirectContainer({ device: name, addresses: [ipv6, ipv4], hook: kind.hook }, uplink);
		default:
			throw new DatapathError(`there is no way "${forward satisfies never}" of forwarding`, {
				hint: 'use stack or redirect',
			});
	}
}

function devicePair(name: string): DevicePair {
	return { name, netns: name, inner: INNER, hostMac: stableMac(name, 'host'), innerMac: stableMac(name, 'inner') };
}

/** In the host's netns. `nodad` and `addrgenmode none`: an address that is tentative for a second answers nobody. */
export function hostCommands({ name, ipv6, ipv4 }: ContainerOptions, kind: DeviceKind, pair: DevicePair): string[] {
	return [
		`netns add ${pair.netns}`,
		...kind.create(pair),
		`link set dev ${name} addrgenmode none up`,
		...(kind.ethernet ? [`addr add ${GATEWAY}/64 dev ${name} nodad`] : []),
		`route add ${ipv6}/128 dev ${name}`,
		`route add ${ipv4}/32 dev ${name}`,
		...(kind.ethernet
			? [ipv6, ipv4].map((address) => `neigh add ${address} lladdr ${pair.innerMac} dev ${name} nud permanent`)
			: []),
	];
}

/** In the container's netns. */
export function innerCommands({ ipv6, ipv4 }: ContainerOptions, kind: DeviceKind, pair: DevicePair): string[] {
	const via = kind.ethernet ? `via ${GATEWAY} dev ${INNER}` : `dev ${INNER}`;
	const via4 = kind.ethernet ? `via inet6 ${GATEWAY} dev ${INNER}` : `dev ${INNER}`;
	return [
		'link set dev lo up',
		`link set dev ${INNER} addrgenmode none up`,
		`addr add ${ipv6}/128 dev ${INNER} nodad`,
		`addr add ${ipv4}/32 dev ${INNER}`,
		...(kind.ethernet ? [`neigh add ${GATEWAY} lladdr ${pair.hostMac} dev ${INNER} nud permanent`] : []),
		`route add ::/0 ${via}`,
		`route add 0.0.0.0/0 ${via4}`,
	];
}
