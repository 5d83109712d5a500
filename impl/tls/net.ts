/** Which flows of this host's containers go over TLS: what `pathproof net tls` does, as a library. */
import type { ContainerSpec } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { ensureObjects } from '../objects.ts';
import { locked } from '../state/lock.ts';
import { readRecord, readRecords } from '../state/records.ts';
import { carryOut, type DryRun, type How, type Step, tell } from '../step.ts';
import { readFlows, type TurnedFlow } from './flows.ts';
import { isTurned } from './links.ts';
import { netnsFlows } from './netns-flows.ts';
import { ownerOf, planPolicy, planPolicyRemoval } from './plan.ts';
import { readPolicies, type TlsMatch, type TlsPolicy, tlsMatch, tlsPolicy } from './policies.ts';

/** Null: it is gone, and what it left is garbage. */
type OfContainer<T> = Omit<T, 'owner'> & { container: string | null };

/** The same again changes nothing. Throws a DatapathError where there is no such container, it cannot be turned, or there is no cgroup of its proxy. */
export async function addPolicy(
	container: string,
	{ proxyCgroup, ...policy }: TlsPolicy & { proxyCgroup: string },
	how: How | DryRun = {},
): Promise<Step[]> {
	const wanted = tlsPolicy(policy);
	await ensureObjects();
	return change(container, how, (spec) => planPolicy(spec, wanted, proxyCgroup));
}

/** `match`: null is all of the container's. What is turned already stays so until it ends. */
export function removePolicies(container: string, match: TlsMatch | null, how: How | DryRun = {}): Promise<Step[]> {
	const wanted = match && tlsMatch(match);
	return change(container, how, (spec) => planPolicyRemoval(spec, wanted));
}

/** In the order in which they are looked at. */
export function listPolicies(): OfContainer<TlsPolicy>[] {
	return named(readPolicies());
}

/** Of connections that have not ended, the oldest first. */
export function listFlows(): OfContainer<TurnedFlow>[] {
	const inNetns = readRecords().flatMap(({ spec }) => (isTurned(spec.name) && !spec.identity ? netnsFlows(spec) : []));
	return named([...readFlows(), ...inNetns].sort((a, b) => b.ageMs - a.ageMs));
}

function named<T extends { owner: bigint }>(rows: T[]): OfContainer<T>[] {
	const names = new Map(readRecords().map(({ spec }) => [ownerOf(spec), spec.name]));
	return rows.map(({ owner, ...row }) => ({ container: names.get(owner) ?? null, ...row }));
}

function change(name: string, how: Partial<DryRun>, plan: (spec: ContainerSpec) => Promise<Step[]>): Promise<Step[]> {
	return locked(async () => {
		const record = readRecord(name);
		if (record?.state !== 'ready')
			throw new DatapathError(`there is no container ${name}`, { hint: 'pathproof net ls' });
		const steps = await plan(record.spec);
		if (how.dryRun) return tell(steps, how);
		await carryOut(steps, how);
		return steps;
	});
}
