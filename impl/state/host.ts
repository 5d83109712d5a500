/** What iproute2 says of this host and of a container's netns, as far as a container is concerned. */
import { type ContainerSpec, netnsOf } from '../container.ts';
import { INNER, type Settings } from '../devices/device.ts';
import { FAMILIES, type Family, ipJson } from '../ip/ip.ts';
import { hasNetns } from '../netns.ts';

export interface Link {
	ifindex: number;
	ifname: string;
	flags: string[];
	mtu: number;
	addr_info: { local: string; prefixlen: number }[];
	/** of those that have a kind, and are not hardware */
	linkinfo?: { info_data?: Settings };
}

export interface Route {
	dst: string;
	dev?: string;
	gateway?: string;
	via?: { host: string };
	table?: string;
	type?: string;
}

export interface Rule {
	family: Family;
	priority: number;
	src: string;
	srclen?: number;
	table?: string;
	suppress_prefixlen?: number;
	action?: string;
}

export interface HostFacts {
	links: Map<string, Link>;
	routes: Route[];
	rules: Rule[];
	neighbours: { dst: string; dev: string; lladdr?: string }[];
}

export async function hostFacts(): Promise<HostFacts> {
	const [links, routes, rules, neighbours] = await Promise.all([
		ipJson<Link>(null, ['-details', 'address']),
		families<Route>(['route', 'show', 'table', 'all']),
		hostRules(() => []),
		ipJson<HostFacts['neighbours'][number]>(null, ['neigh', 'show', 'nud', 'permanent']),
	]);
	return { links: new Map(links.map((link) => [link.ifname, link])), routes, rules, neighbours };

	async function families<T>(args: string[]): Promise<T[]> {
		return (await Promise.all(FAMILIES.map((family) => ipJson<T>(null, [family, ...args])))).flat();
	}
}

/** What `ip rule show` answers to these words, of both families, each with its own; null: that family is not asked. */
export async function hostRules(words: (family: Family) => string[] | null): Promise<Rule[]> {
	const all = FAMILIES.map(async (family) => {
		const asked = words(family);
		const found = asked && (await ipJson<Omit<Rule, 'family'>>(null, [family, 'rule', 'show', ...asked]));
		return (found ?? []).map((rule) => ({ ...rule, family }));
	});
	return (await Promise.all(all)).flat();
}

export interface InnerFacts {
	/** null: it is gone */
	link: Link | null;
	/** only those by its device */
	defaults: { family: 4 | 6; route: Route }[];
}

/** Null where the netns is gone. */
export async function innerFacts(spec: Pick<ContainerSpec, 'name' | 'netns'>): Promise<InnerFacts | null> {
	const netns = netnsOf(spec);
	if (!hasNetns(netns)) return null;
	const [links, six, four] = await Promise.all([
		ipJson<Link>(netns, ['-details', 'address']),
		...FAMILIES.map((family) => ipJson<Route>(netns, [family, 'route', 'show', 'default'])),
	]);
	const by = (family: 4 | 6, routes: Route[]) =>
		routes.filter(({ dev }) => dev === INNER).map((route) => ({ family, route }));
	return {
		link: links.find(({ ifname }) => ifname === INNER) ?? null,
		defaults: [...by(6, six as Route[]), ...by(4, four as Route[])],
	};
}
