/** What has to be done on this host so that a container's flows go over TLS, and no more: steps, in the order in which they are safe. */
import { type ContainerSpec, netnsOf } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { ensureLoaded, isLoaded, withMap } from '../forward/datapath.ts';
import { markOf } from '../forward/tables.ts';
import { cgroupId, cgroupOf } from '../identity/cgroup.ts';
import type { Others } from '../state/records.ts';
import type { Step } from '../step.ts';
import { flowingCgroups, forgetFlows } from './flows.ts';
import { attachTls, detachTls, isTurned, lookAtTlsLink, tlsLinks } from './links.ts';
import { forgetNetns, knownNetns, type ProxyCgroup, refuseNetns } from './netns.ts';
import { netnsFlows } from './netns-flows.ts';
import { netnsRemovalSteps, netnsSteps } from './netns-plan.ts';
import { placeOf, whereIs } from './places.ts';
import {
	matchBytes,
	ownerOfMatch,
	type PolicyObject,
	policyBytes,
	policyMap,
	readPolicies,
	type TlsMatch,
	type TlsPolicy,
} from './policies.ts';
import { isOfProxy, TLS_PROGRAMS, type TlsObject, type TlsProgram } from './programs.ts';
import { aliasRoute } from './route.ts';

/** None where it is so already. Throws a DatapathError where the container cannot be turned, a cgroup is missing, or its proxy is in another one. */
export async function planPolicy(spec: ContainerSpec, policy: TlsPolicy, proxyCgroup: string): Promise<Step[]> {
	const { name } = spec;
	if (spec.identity) refuseWithin(spec, proxyCgroup);
	else refuseNetns(spec);
	const own = requireOwner(spec);
	const proxy: ProxyCgroup = { path: proxyCgroup, id: requireCgroup(proxyCgroup) };
	const links = tlsLinks(name).map(lookAtTlsLink);
	const other = links.find(({ program, at }) => isOfProxy(program) && at !== 0n && at !== proxy.id);
	if (other)
		throw new DatapathError(`the proxy of ${name} is in another cgroup than ${proxyCgroup}`, {
			hint: `pathproof net tls rm ${name}, and add its policies again`,
		});
	const missing = programsFor(spec, [policy]).filter(
		(program) => !links.some((link) => link.program === program && link.at !== 0n),
	);
	const object = policyObject(spec);
	const map = policyMap(object);
	const key = matchBytes(own, policy);
	const value = policyBytes(policy);
	const isSaid = isLoaded(object) && withMap(map, (rows) => rows.lookup(key))?.equals(value);
	return [
		...objectsFor(spec, [policy])
			.filter((object) => !isLoaded(object))
			.map((object) => ({ what: `load the programs of ${object}`, run: () => ensureLoaded(object) })),
		...(spec.identity ? [] : await netnsSteps(spec, proxy)),
		...(spec.identity && policy.protocol === 'udp' ? await aliasRoute('add') : []),
		...missing.map((program) => ({
			what: `attach ${program} to ${isOfProxy(program) ? proxyCgroup : whereIs(spec, program)}`,
			run: () => attachTls(name, program, placeOf(spec, program, proxy)),
		})),
		...(isSaid
			? []
			: [
					{
						what: `${map}: ${describePolicy(policy)} of ${name} goes to the proxy at port ${policy.proxy}, and fails ${policy.fail}`,
						run: () => withMap(map, (rows) => rows.update(key, value)),
					},
				]),
	];
}

/** Flows that were turned stay so until they end; the programs of who has some are garbage's. Throws a DatapathError where there is no such policy. */
export async function planPolicyRemoval(spec: ContainerSpec, match: TlsMatch | null): Promise<Step[]> {
	const { name } = spec;
	const own = requireOwner(spec);
	const object = policyObject(spec);
	const map = policyMap(object);
	const all = readPolicies(object);
	const policies = all.filter(({ owner }) => owner === own);
	const going = match ? policies.filter((one) => matchBytes(own, one).equals(matchBytes(own, match))) : policies;
	if (match && !going.length)
		throw new DatapathError(`there is no policy of ${name} for ${describePolicy(match)}`, {
			hint: 'pathproof net tls ls',
		});
	return [
		...going.map((policy) => ({
			what: `${map}: ${describePolicy(policy)} of ${name} goes as it is`,
			run: () => withMap(map, (rows) => void rows.delete(matchBytes(own, policy))),
		})),
		...(isTurned(name) && going.length === policies.length && !isFlowing(spec) ? await detachSteps(spec) : []),
		...(spec.identity ? await routeSteps(all.filter((one) => !going.includes(one))) : []),
	];
}

/** All of a container that goes. `owner`: null where that is gone. `others`: those that stay. */
export async function tlsRemovalSteps(spec: ContainerSpec, owner: bigint | null, others: Others): Promise<Step[]> {
	const { name } = spec;
	if (!isTurned(name)) return [];
	if (!spec.identity) {
		const living = new Set(others().map((other) => markOf(other).netns));
		return netnsRemovalSteps(
			spec,
			knownNetns().filter((inode) => !living.has(inode)),
		);
	}
	return [
		detachStep(spec),
		...(owner === null ? [] : [{ what: `tls_policies, tls_flows: forget ${name}`, run: () => forgetCgroup(owner) }]),
		...(await routeSteps(readPolicies('tls_connect').filter((one) => one.owner !== owner))),
	];
}

/** Whether it has a policy, or a flow that was turned while it had one. */
export function needsTls(spec: ContainerSpec): boolean {
	if (!isTurned(spec.name)) return false;
	const own = ownerOf(spec);
	return readPolicies().some(({ owner }) => owner === own) || isFlowing(spec);
}

/** What is on this host for nobody: of containers that are gone, and of those without a policy whose last flow has ended. */
export async function unusedTls(all: readonly ContainerSpec[]): Promise<Step[]> {
	const turned = all.filter((spec) => isTurned(spec.name));
	const owners = new Set(turned.map(ownerOf));
	const policies = readPolicies('tls_connect');
	const cgroups = new Set([...policies.map(({ owner }) => owner), ...flowingCgroups()]);
	const unneeded = turned.filter((spec) => !needsTls(spec)).map(detachSteps);
	return [
		...(await Promise.all(unneeded)).flat(),
		...[...cgroups]
			.filter((id) => !owners.has(id))
			.map((id) => ({ what: `tls_policies, tls_flows: forget the cgroup ${id}`, run: () => forgetCgroup(id) })),
		...knownNetns()
			.filter((inode) => !owners.has(BigInt(inode)))
			.map((inode) => ({ what: `tls_ns: forget the netns ${inode}`, run: () => forgetNetns(inode) })),
		...(await routeSteps(policies.filter(({ owner }) => owners.has(owner)))),
	];
}

/** `tcp to 2001:db8:f::/48 port 443` */
export function describePolicy({ protocol, to, port }: TlsMatch): string {
	return `${protocol} to ${to}${port === null ? '' : ` port ${port}`}`;
}

/** A container, by what the kernel knows it by: its cgroup's id, or the inode of its netns. Null: that is gone. */
export function ownerOf(spec: ContainerSpec): bigint | null {
	if (spec.identity) return cgroupId(cgroupOf(spec));
	const { netns } = markOf(spec);
	return netns === null ? null : BigInt(netns);
}

/** What a container with these policies needs on its cgroups, or on its devices. */
export function programsFor(spec: ContainerSpec, policies: readonly TlsMatch[]): TlsProgram[] {
	return objectsFor(spec, policies).flatMap((object) => [...TLS_PROGRAMS[object]]);
}

function isFlowing(spec: ContainerSpec): boolean {
	return spec.identity ? flowingCgroups().has(cgroupId(cgroupOf(spec)) ?? 0n) : netnsFlows(spec).length > 0;
}

async function detachSteps(spec: ContainerSpec): Promise<Step[]> {
	if (spec.identity) return [detachStep(spec)];
	const owner = ownerOf(spec);
	return netnsRemovalSteps(spec, owner === null ? [] : [Number(owner)]);
}

function detachStep({ name }: ContainerSpec): Step {
	return { what: `detach the programs that turn flows of ${name}`, run: () => detachTls(name) };
}

function forgetCgroup(cgroup: bigint): void {
	withMap('tls_policies', (map) => {
		for (const key of map.keys()) if (ownerOfMatch(key) === cgroup) map.delete(key);
	});
	forgetFlows(cgroup);
}

function policyObject({ identity }: ContainerSpec): PolicyObject {
	return identity ? 'tls_connect' : 'tls_netns';
}

function objectsFor({ identity }: ContainerSpec, policies: readonly TlsMatch[]): TlsObject[] {
	if (!identity) return ['tls_netns'];
	return policies.some(({ protocol }) => protocol === 'udp') ? ['tls_connect', 'tls_udp'] : ['tls_connect'];
}

/** `stay`: the policies that do. */
const routeSteps = (stay: readonly TlsMatch[]): Promise<Step[]> =>
	stay.some(({ protocol }) => protocol === 'udp') ? Promise.resolve([]) : aliasRoute('del');

function refuseWithin(spec: ContainerSpec, proxyCgroup: string): void {
	const path = cgroupOf(spec);
	requireCgroup(path);
	if (`${proxyCgroup}/`.startsWith(`${path}/`))
		throw new DatapathError(
			`the proxy's cgroup ${proxyCgroup} is within ${spec.name}'s, whose flows are turned to it`,
			{
				usage: true,
				hint: 'a cgroup of its own beside it',
			},
		);
}

function requireOwner(spec: ContainerSpec): bigint {
	if (spec.identity) return requireCgroup(cgroupOf(spec));
	const owner = ownerOf(spec);
	if (owner !== null) return owner;
	throw new DatapathError(`there is no netns ${netnsOf(spec)}`, { hint: 'pathproof net gc' });
}

function requireCgroup(path: string): bigint {
	const id = cgroupId(path);
	if (id !== null) return id;
	throw new DatapathError(`there is no cgroup ${path}`, { hint: `mkdir ${path}` });
}
