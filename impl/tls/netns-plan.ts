/** What a container with a netns needs beside programs and policies so that its flows are turned: a row, and routes of the aliases in its netns. */
import { type ContainerSpec, netnsOf } from '../container.ts';
import type { Family } from '../ip/ip.ts';
import { hasNetns } from '../netns.ts';
import type { Step } from '../step.ts';
import { detachTls } from './links.ts';
import { forgetNetns, hasRow, netnsRow, type ProxyCgroup, writeNetns } from './netns.ts';
import { netnsAliasRoutes } from './route.ts';

/** Before its programs are attached, which without a row drop everything. */
export async function netnsSteps(spec: ContainerSpec, proxy: ProxyCgroup): Promise<Step[]> {
	const row = await netnsRow(spec, proxy.id);
	return [
		...(await aliasRoutes(spec, 'add')),
		...(row && hasRow(row)
			? []
			: [
					{
						what: `tls_ns: the proxy of ${spec.name} is in ${proxy.path}`,
						run: () => writeNetns(spec, proxy),
					},
				]),
	];
}

/** In the opposite order: what has no program needs no row. `inodes`: of the netns to forget. */
export async function netnsRemovalSteps(spec: ContainerSpec, inodes: readonly number[]): Promise<Step[]> {
	const { name } = spec;
	return [
		{ what: `detach the programs that turn flows of ${name}`, run: () => detachTls(name) },
		...(inodes.length
			? [{ what: `tls_ns, tls_ns_aliases: forget ${name}`, run: () => inodes.forEach(forgetNetns) }]
			: []),
		...(hasNetns(netnsOf(spec)) ? await aliasRoutes(spec, 'del') : []),
	];
}

/** Of the families that it has. */
function aliasRoutes(spec: ContainerSpec, change: 'add' | 'del'): Promise<Step[]> {
	const families: Family[] = [
		...(spec.ipv6 === null ? [] : ['-6' as const]),
		...(spec.ipv4 === null ? [] : ['-4' as const]),
	];
	return netnsAliasRoutes(netnsOf(spec), change, families);
}

/** Those that it lacks, as commands. */
export async function lostAliasRoutes(spec: ContainerSpec): Promise<string[]> {
	return (await aliasRoutes(spec, 'add')).map(({ what }) => what);
}
