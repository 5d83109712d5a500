/**
 * The network of the containers of this host: what `pathproof net` does, as a library. What is made here lives in the kernel alone:
 * netns, links, and pins below /sys/fs/bpf/pathproof.
 *
 * A container's record is written before the first change and after the last one. Who finds one that is not `ready`, and holds the
 * lock, knows that its owner was killed: what it began is undone or finished before anything else is done to that container.
 */
import { type ContainerRequest, type ContainerSpec, containerSpec } from './container.ts';
import { throwAll, tryEach } from './each.ts';
import { DatapathError } from './errors.ts';
import { type Attachment, attachments, detachAll, detachOne } from './forward/attach.ts';
import { ensureLoaded, halfMade, isLoaded, unload } from './forward/datapath.ts';
import { writeServices } from './identity/services.ts';
import { ensureObjects } from './objects.ts';
import { planAdd, planRemove } from './plan/plan.ts';
import { attachmentsOf } from './state/attached.ts';
import { checkContainers, type Finding } from './state/check.ts';
import { garbage, mends } from './state/garbage.ts';
import { locked } from './state/lock.ts';
import {
	type ContainerRecord,
	deleteRecord,
	type Others,
	othersThan,
	readRecord,
	readRecords,
	recordBytes,
	writeRecord,
} from './state/records.ts';
import { planUpgrade } from './state/upgrade.ts';
import { type ContainerView, viewContainer } from './state/view.ts';
import { carryOut, type DryRun, type How, type Step, tell } from './step.ts';

export type { ContainerView, Finding };

/**
 * Answers the programs in its way. The same request again changes nothing, another of the same name is refused. What fails halfway
 * leaves nothing.
 */
export function addContainer(request: ContainerRequest, how: DryRun): Promise<Step[]>;
export function addContainer(request: ContainerRequest, how?: How): Promise<Attachment[]>;
export async function addContainer(
	request: ContainerRequest,
	how: Partial<DryRun> = {},
): Promise<Step[] | Attachment[]> {
	const spec = containerSpec(request);
	const { name } = spec;
	recordBytes({ state: 'adding', spec });
	await ensureObjects();
	return locked(async () => {
		const record = readRecord(name);
		if (record?.state === 'ready') {
			if (!sameSpec(record.spec, spec)) {
				throw new DatapathError(`there is a container ${name} already, and it is another one`, {
					hint: `pathproof net show ${name}; to replace it: pathproof net rm ${name}`,
				});
			}
			return how.dryRun ? [] : attachmentsOf(spec);
		}
		// for an identity, all of them are asked several things
		const others = othersThan(new Set([name]), spec.identity && readRecords());
		const undoing = record ? await stepsToRemove(record.spec, others) : [];
		const steps = [
			...(isLoaded() && !unloads(undoing)
				? []
				: [{ what: 'load the programs, and pin them', run: () => ensureLoaded() }]),
			{ what: `record that ${name} is being added`, run: () => writeRecord({ state: 'adding', spec }) },
			...(await planAdd(spec, others, record?.spec ?? null)),
			{ what: `record that ${name} is there`, run: () => writeRecord({ state: 'ready', spec }) },
		];
		if (how.dryRun) return tell([...undoing, ...steps], how);
		await carryOut(undoing, how);
		try {
			await carryOut(steps, how);
		} catch (error) {
			await undo(spec, others, error);
			throw error;
		}
		return attachmentsOf(spec);
	});
}

/** Takes away all that `addContainer` made, but for what other containers use too. Throws where there is no such container. */
export function removeContainer(name: string, how: DryRun): Promise<Step[]>;
export function removeContainer(name: string, how?: How): Promise<void>;
export function removeContainer(name: string, how: Partial<DryRun> = {}): Promise<unknown> {
	return removeContainers([name], how as How);
}

/** One after the other, each name once. Where there is none of a name, nothing is taken away. */
export function removeContainers(names: readonly string[], how: DryRun): Promise<Step[]>;
export function removeContainers(names: readonly string[], how?: How): Promise<void>;
export function removeContainers(asked: readonly string[], how: Partial<DryRun> = {}): Promise<unknown> {
	const names = [...new Set(asked)];
	return locked(async () => {
		const wanted = names.map((name) => {
			const record = readRecord(name);
			if (record) return record.spec;
			// of the last one that was here: whoever took it away was killed before the end
			if (!how.dryRun && !readRecords().length) clear();
			throw new DatapathError(`there is no container ${name}`, { hint: 'pathproof net ls' });
		});
		const steps: Step[] = [];
		const gone = new Set<string>();
		for (const spec of wanted) {
			const own = await stepsToRemove(spec, othersThan(gone.add(spec.name)));
			if (!how.dryRun) await carryOut(own, how);
			steps.push(...own);
		}
		if (how.dryRun) return tell(steps, how);
	});
}

/**
 * Whether a container is passed over by the services that it is behind: it gets nobody new then, and keeps who is connected, so that it
 * can go, or come, under load. Throws a DatapathError where it is behind none.
 */
export function drainContainer(name: string, drained: boolean, how: DryRun): Promise<Step[]>;
export function drainContainer(name: string, drained: boolean, how?: How): Promise<void>;
export function drainContainer(name: string, drained: boolean, how: Partial<DryRun> = {}): Promise<unknown> {
	return locked(async () => {
		const record = readRecord(name);
		if (!record) throw new DatapathError(`there is no container ${name}`, { hint: 'pathproof net ls' });
		const { spec } = record;
		if (!spec.identity?.serves.length)
			throw new DatapathError(`${name} is behind no service`, { hint: `pathproof net show ${name}` });
		const wanted = { ...spec, identity: { ...spec.identity, drained } };
		const steps: Step[] = [
			{
				what: drained ? `services: nobody new is sent to ${name}` : `services: ${name} is sent its share`,
				run: () => writeServices(record.state === 'ready' ? wanted : null),
			},
			// who is killed before does the same again
			{
				what: `record that ${name} is ${drained ? '' : 'not '}drained`,
				run: () => writeRecord({ ...record, spec: wanted }),
			},
		];
		const needed = spec.identity.drained === drained ? [] : steps;
		if (how.dryRun) return tell(needed, how);
		await carryOut(needed, how);
	});
}

/** In the order of their names. */
export function listContainers(): ContainerRecord[] {
	return readRecords();
}

/** Throws a DatapathError where there is no such container. */
export async function showContainer(name: string): Promise<ContainerView> {
	const record = readRecord(name);
	if (record) return viewContainer(record);
	throw new DatapathError(`there is no container ${name}`, { hint: 'pathproof net ls' });
}

/** Compares this host with what its containers were asked to be. Nothing found: all is as it should be. */
export function checkHost(): Promise<Finding[]> {
	return locked(async () => {
		const dead = await garbage();
		return [
			...(await checkContainers(
				readRecords().filter(({ spec }) => !dead.some(({ container }) => container === spec.name)),
			)),
			...dead.map(({ container, what, expected = 'no such thing', found }) => ({
				container,
				what,
				expected,
				found,
				hint: 'pathproof net gc',
			})),
		];
	});
}

/**
 * Finishes or undoes what was interrupted, takes away what is dead, and gives identities back what they lack. What fails, as where a
 * process holds a socket of a dead container, stays, and is thrown after all else was done.
 */
export function collectGarbage(how: DryRun): Promise<Step[]>;
export function collectGarbage(how?: How): Promise<void>;
export function collectGarbage(how: Partial<DryRun> = {}): Promise<unknown> {
	return locked(async () => {
		// First: an address that is given back is the host's again, and known to be.
		const lacking = mends();
		const mended = how.dryRun ? { errors: [] } : await tryEach(lacking, (step) => carryOut([step], how));
		const steps: Step[] = [...lacking];
		let failed: unknown[] = [];
		// Once more behind what was dead: what hung on its device, and was no container's, is seen only then.
		for (let again = true; again; ) {
			const found = await garbage();
			const { done, errors } = await tryEach(found, async (dead) => {
				const own = dead.record
					? await stepsToRemove(dead.record.spec, othersThan(new Set([dead.record.spec.name])))
					: dead.steps;
				if (!how.dryRun) await carryOut(own, how);
				steps.push(...own);
			});
			// those of before were tried again
			failed = errors;
			again = !how.dryRun && done.some(({ record }) => record !== undefined);
		}
		if (how.dryRun) tell(steps, how);
		throwAll([...mended.errors, ...failed], 'pathproof net gc');
		if (how.dryRun) return steps;
	});
}

/** Puts the programs of this pathproof in the place of those that are pinned, where they differ; no packet meets neither. */
export function upgrade(how: DryRun): Promise<Step[]>;
export function upgrade(how?: How): Promise<void>;
export async function upgrade(how: Partial<DryRun> = {}): Promise<unknown> {
	await ensureObjects();
	return locked(async () => {
		using plan = planUpgrade();
		if (how.dryRun) return tell(plan.steps, how);
		await carryOut(plan.steps, how);
	});
}

/** Takes a program from all devices that it is attached to. Throws a DatapathError where it is on none. */
export function detach(program: string): Promise<Attachment[]> {
	return locked(async () => {
		const all = attachments();
		const found = all.filter((one) => one.program === program);
		if (!found.length) {
			const names = [...new Set(all.map((one) => one.program))];
			throw new DatapathError(`no program ${program} is attached`, {
				hint: names.length ? `attached are ${names.join(', ')}` : 'nothing of this datapath is attached',
			});
		}
		for (const one of found) detachOne(one);
		return found;
	});
}

/** The record of the last one goes with the datapath, in one rename: until then everybody knows what is still to be done. */
async function stepsToRemove(spec: ContainerSpec, others: Others): Promise<Step[]> {
	const { name } = spec;
	return [
		{ what: `record that ${name} is being removed`, run: () => writeRecord({ state: 'removing', spec }) },
		...(await planRemove(spec, others)),
		...(others().some(() => true) ? [{ what: `forget the record of ${name}`, run: () => deleteRecord(name) }] : []),
	];
}

/** What was begun, after `error`. Throws a DatapathError that tells of both where this fails too. */
async function undo(spec: ContainerSpec, others: Others, error: unknown): Promise<void> {
	try {
		// It was the load that failed: there is no record yet, and nothing else.
		if (isLoaded()) await carryOut(await stepsToRemove(spec, others));
		else clear();
	} catch (cause) {
		const words = (one: unknown) => (one instanceof Error ? one.message : String(one));
		throw new DatapathError(`${words(error)}\nand what was begun for ${spec.name} could not be undone`, {
			log: words(cause),
			hint: 'pathproof net gc',
			cause: error,
		});
	}
}

/** Whether the datapath is gone after these steps. */
function unloads(steps: readonly Step[]): boolean {
	return steps.some(({ run }) => run === unload);
}

/** What is left where nothing is wanted: programs and maps without a container. */
function clear(): void {
	if (isLoaded()) detachAll();
	if (isLoaded() || halfMade().length) unload();
}

/** Whether it is drained is not what a container is, but what was done to it since. */
function sameSpec(a: ContainerSpec, b: ContainerSpec): boolean {
	const words = ({ identity, ...spec }: ContainerSpec) =>
		JSON.stringify([
			Object.entries(spec).sort(([one], [other]) => (one < other ? -1 : 1)),
			identity && { ...identity, drained: false },
		]);
	return words(a) === words(b);
}
