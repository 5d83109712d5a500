/** The addresses, routes and neighbours of a container's device pair, as commands for `ip -batch`. Pure: nothing here runs them. */
import { createHash } from 'node:crypto';
import type { ContainerSpec } from '../container.ts';
import { type Neighbour, neighbourCommand } from '../ip/neighbour.ts';
import { type DevicePair, INNER, type PairKind } from './device.ts';

/** The gateway of every container, on the host end of its device. IPv4 goes by it as well (RFC 5549, 5.2: d15662682db2). */
const GATEWAY = 'fe80::1';

type Addresses = Pick<ContainerSpec, 'ipv6' | 'ipv4'>;

export function devicePair(name: string, netns: string, mtu: number): DevicePair {
	return { name, netns, inner: INNER, hostMac: stableMac(name, 'host'), innerMac: stableMac(name, 'inner'), mtu };
}

/** In the host's netns, once the programs are attached. `nodad` and `addrgenmode none`: an address that is tentative for a second answers nobody. */
export function hostCommands({ ipv6, ipv4 }: Addresses, kind: PairKind, { name }: DevicePair): string[] {
	return [
		`link set dev ${name} addrgenmode none up`,
		...(kind.ethernet ? [`addr add ${GATEWAY}/64 dev ${name} nodad`] : []),
		...(ipv6 ? [`route add ${ipv6}/128 dev ${name}`] : []),
		...(ipv4 ? [`route add ${ipv4}/32 dev ${name}`] : []),
	];
}

/** The container, as the host's stack finds it without asking. */
export function hostNeighbours({ ipv6, ipv4 }: Addresses, kind: PairKind, { name, innerMac }: DevicePair): Neighbour[] {
	if (!kind.ethernet) return [];
	return [ipv6, ipv4]
		.filter((address) => address !== null)
		.map((address) => ({ address, mac: innerMac, device: name }));
}

/** In the container's netns. */
export function innerCommands({ ipv6, ipv4 }: Addresses, kind: PairKind, { hostMac }: DevicePair): string[] {
	const via = kind.ethernet ? `via ${GATEWAY} dev ${INNER}` : `dev ${INNER}`;
	const via4 = kind.ethernet ? `via inet6 ${GATEWAY} dev ${INNER}` : `dev ${INNER}`;
	return [
		'link set dev lo up',
		`link set dev ${INNER} addrgenmode none up`,
		...(ipv6 ? [`addr add ${ipv6}/128 dev ${INNER} nodad`] : []),
		...(ipv4 ? [`addr add ${ipv4}/32 dev ${INNER}`] : []),
		...(kind.ethernet ? [neighbourCommand({ address: GATEWAY, mac: hostMac, device: INNER })] : []),
		// without an address of the family the kernel would still take the route, and a program would wait for its timeout
		...(ipv6 ? [`route add ::/0 ${via}`] : []),
		...(ipv4 ? [`route add 0.0.0.0/0 ${via4}`] : []),
	];
}

/** A locally administered MAC that stays the same for the same words: neighbours outlive a device made anew. */
function stableMac(...words: string[]): string {
	const hash = createHash('sha256').update(words.join('\0')).digest('hex');
	return ['02', ...(hash.match(/../g) ?? []).slice(0, 5)].join(':');
}
