/** What has to be done on this host so that a container's flows go over TLS, and no more: steps, in the order in which they are safe. */
import type { ContainerSpec } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { ensureLoaded, isLoaded, withMap } from '../forward/datapath.ts';
import { cgroupId, cgroupOf } from '../identity/cgroup.ts';
import type { Finding } from '../state/check.ts';
import type { Step } from '../step.ts';
import { flowingCgroups, forgetFlows } from './flows.ts';
import { attachTls, detachTls, isTurned, lookAtTlsLink, tlsLinks } from './links.ts';
import { cgroupOfMatch, matchBytes, policyBytes, readPolicies, type TlsMatch, type TlsPolicy } from './policies.ts';
import { isOfProxy, TLS_PROGRAMS, type TlsObject, type TlsProgram } from './programs.ts';
import { aliasRoute } from './route.ts';

/** None where it is so already. Throws a DatapathError where a cgroup is missing, or the container's proxy is in another one. */
export async function planPolicy(spec: ContainerSpec, policy: TlsPolicy, proxyCgroup: string): Promise<Step[]> {
	const { name } = spec;
	const path = cgroupOf(spec);
	const own = requireCgroup(path);
	const proxy = requireCgroup(proxyCgroup);
	if (`${proxyCgroup}/`.startsWith(`${path}/`))
		throw new DatapathError(`the proxy's cgroup ${proxyCgroup} is within ${name}'s, whose flows are turned to it`, {
			usage: true,
			hint: 'a cgroup of its own beside it',
		});
	const links = tlsLinks(name).map(lookAtTlsLink);
	const other = links.find(({ program, cgroup }) => isOfProxy(program) && cgroup !== 0n && cgroup !== proxy);
	if (other)
		throw new DatapathError(`the proxy of ${name} is in another cgroup than ${proxyCgroup}`, {
			hint: `pathproof net tls rm ${name}, and add its policies again`,
		});
	const missing = programsFor([policy]).filter(
		(program) => !links.some((link) => link.program === program && link.cgroup !== 0n),
	);
	const key = matchBytes(own, policy);
	const value = policyBytes(policy);
	const isSaid = isLoaded('tls_connect') && withMap('tls_policies', (map) => map.lookup(key))?.equals(value);
	return [
		...objectsFor([policy])
			.filter((object) => !isLoaded(object))
			.map((object) => ({ what: `load the programs of ${object}`, run: () => ensureLoaded(object) })),
		...(policy.protocol === 'udp' ? await aliasRoute('add') : []),
		...missing.map((program) => {
			const [where, id] = isOfProxy(program) ? [proxyCgroup, proxy] : [path, own];
			return { what: `attach ${program} to ${where}`, run: () => attachTls(name, where, id, program) };
		}),
		...(isSaid
			? []
			: [
					{
						what: `tls_policies: ${describePolicy(policy)} of ${name} goes to the proxy at port ${policy.proxy}, and fails ${policy.fail}`,
						run: () => withMap('tls_policies', (map) => map.update(key, value)),
					},
				]),
	];
}

/** Flows that were turned stay so until they end; the programs of who has some are garbage's. Throws a DatapathError where there is no such policy. */
export async function planPolicyRemoval(spec: ContainerSpec, match: TlsMatch | null): Promise<Step[]> {
	const { name } = spec;
	const own = requireCgroup(cgroupOf(spec));
	const all = readPolicies();
	const policies = all.filter(({ cgroup }) => cgroup === own);
	const going = match ? policies.filter((one) => matchBytes(own, one).equals(matchBytes(own, match))) : policies;
	if (match && !going.length)
		throw new DatapathError(`there is no policy of ${name} for ${describePolicy(match)}`, {
			hint: 'pathproof net tls ls',
		});
	return [
		...going.map((policy) => ({
			what: `tls_policies: ${describePolicy(policy)} of ${name} goes as it is`,
			run: () => withMap('tls_policies', (map) => void map.delete(matchBytes(own, policy))),
		})),
		...(isTurned(name) && going.length === policies.length && !flowingCgroups().has(own) ? [detachStep(spec)] : []),
		...(await routeSteps(all.filter((one) => !going.includes(one)))),
	];
}

/** All of a container that goes. `cgroup`: null where that is gone. */
export async function tlsRemovalSteps({ name }: ContainerSpec, cgroup: bigint | null): Promise<Step[]> {
	if (!isLoaded('tls_connect') || !isTurned(name)) return [];
	return [
		{ what: `detach the programs that turn flows of ${name}`, run: () => detachTls(name) },
		...(cgroup === null ? [] : [{ what: `tls_policies, tls_flows: forget ${name}`, run: () => forgetTls(cgroup) }]),
		...(await routeSteps(readPolicies().filter((one) => one.cgroup !== cgroup))),
	];
}

/** Whether it has a policy, or a flow that was turned while it had one. */
export function needsTls(spec: ContainerSpec): boolean {
	return spec.identity !== undefined && isTurned(spec.name) && knownCgroups().has(cgroupId(cgroupOf(spec)) ?? 0n);
}

/** What is on this host for nobody: of containers that are gone, and of those without a policy whose last flow has ended. */
export async function unusedTls(all: readonly ContainerSpec[]): Promise<Step[]> {
	const turned = all.filter((spec) => isTurned(spec.name));
	const ids = new Set(turned.map((spec) => cgroupId(cgroupOf(spec))));
	const known = knownCgroups();
	return [
		...turned.filter((spec) => !known.has(cgroupId(cgroupOf(spec)) ?? 0n)).map(detachStep),
		...[...known]
			.filter((id) => !ids.has(id))
			.map((id) => ({ what: `tls_policies, tls_flows: forget the cgroup ${id}`, run: () => forgetTls(id) })),
		...(await routeSteps(readPolicies().filter(({ cgroup }) => ids.has(cgroup)))),
	];
}

function knownCgroups(): Set<bigint> {
	return new Set([...readPolicies().map(({ cgroup }) => cgroup), ...flowingCgroups()]);
}

/** Whether what turns a container's flows is attached. */
export function checkTls(spec: ContainerSpec): Finding[] {
	const own = cgroupId(cgroupOf(spec));
	const policies = readPolicies().filter(({ cgroup }) => cgroup === own);
	const [policy] = policies;
	if (!policy) return [];
	const links = tlsLinks(spec.name).map(lookAtTlsLink);
	return programsFor(policies)
		.filter((program) => !links.some((link) => link.program === program && link.running !== null))
		.map((program) => ({
			container: spec.name,
			what: `${program} on ${isOfProxy(program) ? "its proxy's cgroup" : cgroupOf(spec)}`,
			expected: 'attached',
			found: links.some((link) => link.program === program) ? 'its link is detached' : 'not attached',
			hint: `pathproof net tls add ${spec.name} --to ${policy.to} --proxy ${policy.proxy} --proxy-cgroup PATH, as before`,
		}));
}

/** `tcp to 2001:db8:f::/48 port 443` */
export function describePolicy({ protocol, to, port }: TlsMatch): string {
	return `${protocol} to ${to}${port === null ? '' : ` port ${port}`}`;
}

function detachStep({ name }: ContainerSpec): Step {
	return { what: `detach the programs that turn flows of ${name}`, run: () => detachTls(name) };
}

function forgetTls(cgroup: bigint): void {
	withMap('tls_policies', (map) => {
		for (const key of map.keys()) if (cgroupOfMatch(key) === cgroup) map.delete(key);
	});
	forgetFlows(cgroup);
}

const objectsFor = (policies: readonly TlsMatch[]): TlsObject[] =>
	policies.some(({ protocol }) => protocol === 'udp') ? ['tls_connect', 'tls_udp'] : ['tls_connect'];

const programsFor = (policies: readonly TlsMatch[]): TlsProgram[] =>
	objectsFor(policies).flatMap((object) => [...TLS_PROGRAMS[object]]);

/** `stay`: the policies that do. */
const routeSteps = (stay: readonly TlsMatch[]): Promise<Step[]> =>
	stay.some(({ protocol }) => protocol === 'udp') ? Promise.resolve([]) : aliasRoute('del');

function requireCgroup(path: string): bigint {
	const id = cgroupId(path);
	if (id !== null) return id;
	throw new DatapathError(`there is no cgroup ${path}`, { hint: `mkdir ${path}` });
}
