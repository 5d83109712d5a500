/** That what goes to an alias stays on this host: an ICMP error quotes the datagram that it is about, and goes to where that came from. */
import { type Family, ipJson } from '../ip/ip.ts';
import { ipSteps } from '../plan/steps.ts';
import type { Step } from '../step.ts';

/** By the family, as `ip route` takes them. */
type Aliases = Partial<Record<Family, { table: string; prefix: string; words: string }>>;

/** As in bpf/tls_udp.bpf.c: RFC 6666, which no router takes further. Of IPv4 they are in 127.0.0.0/8. */
const OF_HOST: Aliases = { '-6': { table: 'local', prefix: '100::/64', words: 'local 100::/64 dev lo' } };
/** As in bpf/tls_netns.bpf.c. What comes from an address of its own by another device than lo, IPv4 takes for a lie: hence no local route. */
const OF_NETNS: Aliases = {
	...OF_HOST,
	'-4': { table: 'main', prefix: '240.0.0.0/5', words: '240.0.0.0/5 dev lo' },
};

/** None where it is so already. */
export function aliasRoute(change: 'add' | 'del'): Promise<Step[]> {
	return steps(null, OF_HOST, change);
}

/** The same in a container's netns. */
export function netnsAliasRoutes(netns: string, change: 'add' | 'del', families: readonly Family[]): Promise<Step[]> {
	return steps(netns, Object.fromEntries(families.map((family) => [family, OF_NETNS[family]])), change);
}

async function steps(netns: string | null, aliases: Aliases, change: 'add' | 'del'): Promise<Step[]> {
	const all = Object.entries(aliases).map(async ([name, { table, prefix, words }]) => {
		const family = name as Family;
		const there = await ipJson(netns, [family, 'route', 'show', 'table', table, prefix]);
		if (there.length > 0 === (change === 'add')) return [];
		return ipSteps({ netns, family }, [`route ${change} ${words}`]);
	});
	return (await Promise.all(all)).flat();
}
