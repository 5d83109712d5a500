/** The addresses, routes and neighbours of a container's device pair, as commands for `ip -batch`. Pure: nothing here runs them. */
import { createHash } from 'node:crypto';
import type { DeviceKind, DevicePair } from './device.ts';

/** The gateway of every container, on the host end of its device. IPv4 goes by it as well (RFC 5549, 5.2: d15662682db2). */
const GATEWAY = 'fe80::1';
const INNER = 'eth0';

interface Addresses {
	/** without a prefix length */
	ipv6: string;
	ipv4: string;
}

export function devicePair(name: string): DevicePair {
	return { name, netns: name, inner: INNER, hostMac: stableMac(name, 'host'), innerMac: stableMac(name, 'inner') };
}

/** In the host's netns. `nodad` and `addrgenmode none`: an address that is tentative for a second answers nobody. */
export function hostCommands({ ipv6, ipv4 }: Addresses, kind: DeviceKind, pair: DevicePair): string[] {
	const { name } = pair;
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
export function innerCommands({ ipv6, ipv4 }: Addresses, kind: DeviceKind, pair: DevicePair): string[] {
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

/** A locally administered MAC that stays the same for the same words: neighbours outlive a device made anew. */
function stableMac(...words: string[]): string {
	const hash = createHash('sha256').update(words.join('\0')).digest('hex');
	return ['02', ...(hash.match(/../g) ?? []).slice(0, 5)].join(':');
}
