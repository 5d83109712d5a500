/** Which addresses one can be reached by. */
import { BlockList } from 'node:net';

/** Unspecified, loopback, link-local, multicast and broadcast; and IPv4 addresses in IPv6's clothes, which are IPv4's in the maps. */
const NOBODYS = {
	ipv6: blockList('ipv6', ['::', 127], ['::ffff:0:0', 96], ['fe80::', 10], ['ff00::', 8]),
	ipv4: blockList(
		'ipv4',
		['0.0.0.0', 8],
		['127.0.0.0', 8],
		['169.254.0.0', 16],
		['224.0.0.0', 4],
		['255.255.255.255', 32],
	),
};

/** One for each family: Node takes an IPv4 address for the IPv6 one that it is mapped to. */
function blockList(family: 'ipv6' | 'ipv4', ...networks: [network: string, length: number][]): BlockList {
	const list = new BlockList();
	for (const [network, length] of networks) list.addSubnet(network, length, family);
	return list;
}

/** `address`: of one of the two families, without a zone. */
export function isNobodys(address: string): boolean {
	const family = address.includes(':') ? 'ipv6' : 'ipv4';
	return NOBODYS[family].check(address, family);
}
