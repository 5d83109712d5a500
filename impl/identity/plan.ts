/** What has to be done on this host to give a cgroup an address of its own, and to take it away: steps, in the order in which they are safe. */
import { addressBytes, ownAddresses } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { makeCgroup, removeCgroup } from '../devices/none.ts';
import { DatapathError } from '../errors.ts';
import { ensureLoaded, isLoaded } from '../forward/datapath.ts';
import { addressesOf, compareHostRows, forget, updateHostRows } from '../forward/tables.ts';
import { ipSteps } from '../plan/steps.ts';
import type { Others } from '../state/records.ts';
import type { Step } from '../step.ts';
import { tlsRemovalSteps } from '../tls/plan.ts';
import { cgroupId, cgroupOf, isPopulated } from './cgroup.ts';
import { endConnections, refuseHeld } from './connections.ts';
import { attachIdentity, detachIdentity, hasPins } from './links.ts';
import { FIRST_PROGRAM, identityPrograms } from './programs.ts';
import { backendAddress, MAX_BACKENDS, writeServices } from './services.ts';
import type { Share } from './spec.ts';
import { forgetIdentity, loopbackOf, ownedAddresses, shareKey, writeIdentity } from './tables.ts';

/** Whatever bears a container's name is not an identity's. */
const NO_DEVICE = { hostEnd: null, netns: null };

/** `others`: those of this host. Throws a DatapathError for what cannot be done here. */
export function planIdentity(spec: ContainerSpec, others: Others): Step[] {
	const { name } = spec;
	const identity = spec.identity!;
	const path = cgroupOf(spec);
	const identities = [...others().filter((other) => other.identity)];
	refuse(spec, identities, [...others('ready').filter((other) => other.identity)]);
	const [first, ...rest] = identityPrograms(identity);
	const attach = (program: typeof first & string): Step => ({
		what: `attach ${program} to ${path}`,
		run: () => attachIdentity(name, path, there(path), program),
	});
	return [
		{ what: `load the programs of ${name}`, run: () => loadFor(spec) },
		...(identity.cgroup === null ? [{ what: `mkdir -p ${path}`, run: () => makeCgroup(name) }] : []),
		...ipSteps(
			null,
			ownedAddresses(spec).map(({ add }) => add),
		),
		{
			what: `endpoints: what is sent to ${name} is for this host`,
			run: () => updateHostRows(compareHostRows(ownAddresses())),
		},
		attach(first ?? FIRST_PROGRAM),
		{
			what: `identities: ${name} has ${addressesOf(spec).join(' and ')}`,
			run() {
				const cgroup = there(path);
				refuseLoopback(spec, cgroup, identities);
				writeIdentity(spec, cgroup);
			},
		},
		...rest.map(attach),
		...(identity.serves.length
			? [
					{
						what: `services: ${name} is behind ${words(identity.serves)}`,
						run: () => writeServices(spec),
					},
				]
			: []),
	];
}

/**
 * For what is whole, half made or half taken away. `others`: those that stay. Throws a DatapathError while processes are in a cgroup that
 * would go, which are not turned into the host's, and while a process anywhere has a socket in an address that would be free.
 */
export async function planIdentityRemoval(spec: ContainerSpec, others: Others): Promise<Step[]> {
	const { name } = spec;
	const path = cgroupOf(spec);
	if (spec.identity!.cgroup === null && (await isPopulated(path)))
		throw new DatapathError(`there are processes in ${path}`, { hint: `echo 1 > ${path}/cgroup.kill` });
	await refuseHeld(spec);
	const present = ownHexes();
	const addresses = ownedAddresses(spec).filter(({ address }) => present.has(hexOf(address)));
	const served = spec.identity!.serves;
	const loaded = isLoaded('identity');
	return [
		...(served.length && loaded
			? [
					{
						what: `services: ${name} is no more behind ${words(served)}`,
						// by its record it is being removed
						run: () => writeServices(),
					},
				]
			: []),
		...(spec.identity!.cgroup === null ? [{ what: `rmdir ${path}`, run: () => removeCgroup(name) }] : []),
		...(hasPins(name)
			? [{ what: `detach the programs of ${name} from ${path}`, run: () => detachIdentity(name) }]
			: []),
		...(await tlsRemovalSteps(spec, cgroupId(path), others)),
		{ what: `end the connections of ${name}`, run: () => endConnections(spec) },
		{
			what: `forget ${name} in the maps`,
			run() {
				if (loaded) forgetIdentity(spec, cgroupId(path));
				forget(spec, NO_DEVICE, others);
			},
		},
		...ipSteps(
			null,
			addresses.map(({ remove }) => remove),
		),
	];
}

/** What no interrupted call can have left. `ready`: those of the others that stay. */
function refuse(spec: ContainerSpec, others: readonly ContainerSpec[], ready: readonly ContainerSpec[]): void {
	const path = cgroupOf(spec);
	const id = cgroupId(path);
	if (spec.identity!.cgroup !== null && id === null)
		throw new DatapathError(`there is no cgroup ${path}`, { hint: `mkdir ${path}` });
	const owner = others.find((other) => cgroupOf(other) === path);
	if (owner)
		throw new DatapathError(`the cgroup ${path} is ${owner.name}'s already`, {
			hint: `pathproof net show ${owner.name}`,
		});
	for (const serve of spec.identity!.serves) {
		if (backendAddress(spec, serve) === null)
			throw new DatapathError(`${spec.name} has no address of the family of ${serve.address}`, {
				hint: 'a further --ip',
			});
		// those too whose cgroup is gone: it may be made anew
		const beside = ready.flatMap(({ identity }) => identity!.serves).filter((other) => isSame(other, serve));
		if (beside.length >= MAX_BACKENDS)
			throw new DatapathError(`${words([serve])} has ${MAX_BACKENDS} containers behind it already`, {
				hint: 'pathproof net ls',
			});
	}
	for (const share of spec.identity!.shares) {
		const { address, port, protocol } = share;
		const taken = others.find(({ identity }) => identity!.shares.some((other) => isSame(other, share)));
		if (taken)
			throw new DatapathError(`${protocol} port ${port} of ${address} is ${taken.name}'s already`, {
				hint: `pathproof net show ${taken.name}`,
			});
	}
}

function isSame(one: Share, other: Share): boolean {
	return shareKey(one).equals(shareKey(other));
}

function words(shares: readonly Share[]): string {
	return shares.map(({ address, port, protocol }) => `${protocol} port ${port} of ${address}`).join(', ');
}

/** Two cgroups of the same end of an id: after millions of others. */
function refuseLoopback(spec: ContainerSpec, cgroup: bigint, others: readonly ContainerSpec[]): void {
	if (spec.ipv4 !== null) return;
	const taken = others.find((other) => {
		const id = other.ipv4 === null ? cgroupId(cgroupOf(other)) : null;
		return id !== null && loopbackOf(id) === loopbackOf(cgroup);
	});
	if (taken)
		throw new DatapathError(`${loopbackOf(cgroup)} is ${taken.name}'s already`, {
			hint: 'the same again: another cgroup',
		});
}

function loadFor({ name, identity }: ContainerSpec): void {
	ensureLoaded('identity');
	if (!identity!.lowPorts) return;
	try {
		ensureLoaded('low_ports');
	} catch (cause) {
		throw new DatapathError(`the programs of ${name} cannot be given low ports on this kernel (5.12)`, {
			hint: 'leave --low-ports out, and give the capability instead',
			log: (cause as Error).message,
			cause,
		});
	}
}

function there(path: string): bigint {
	const id = cgroupId(path);
	if (id !== null) return id;
	throw new DatapathError(`the cgroup ${path} has gone meanwhile`, { hint: `mkdir ${path}` });
}

function ownHexes(): Set<string> {
	return new Set(ownAddresses().map(hexOf));
}

function hexOf(address: string): string {
	return addressBytes(address).toString('hex');
}
