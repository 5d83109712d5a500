/**
 * The network of one container on this host: a netns, a device pair, addresses, routes, and the way its packets take. What is
 * made here lives in the kernel alone: netns, links, and pins below /sys/fs/bpf/pathproof.
 */
import { findDevice } from './addresses.ts';
import { type ContainerRequest, type ContainerSpec, containerSpec } from './container.ts';
import { DatapathError } from './errors.ts';
import { type Attachment, attachments, detachOne } from './forward/attach.ts';
import { ensureLoaded } from './forward/datapath.ts';
import { planAdd, planRemove } from './plan.ts';
import { deleteRecord, readRecords, writeRecord } from './state/records.ts';

/** Answers what was attached. What fails halfway leaves nothing. */
export async function addContainer(request: ContainerRequest): Promise<Attachment[]> {
	const spec = containerSpec(request);
	const others = readRecords().map((record) => record.spec);
	const steps = await planAdd(spec, others);
	ensureLoaded();
	writeRecord({ state: 'adding', spec });
	try {
		for (const step of steps) await step.run();
		writeRecord({ state: 'ready', spec });
	} catch (error) {
		await undo(spec);
		throw error;
	}
	const devices = [findDevice(spec.name), ...spec.uplinks.map(({ device }) => findDevice(device))];
	return attachments().filter(({ ifindex }) => devices.includes(ifindex));
}

/** Takes away all that `addContainer` made, but for what other containers use too. Throws where there is no such container. */
export async function removeContainer(name: string): Promise<void> {
	const record = readRecords().find(({ spec }) => spec.name === name);
	if (!record) throw new DatapathError(`there is no container ${name}`, { hint: 'pathproof net ls' });
	await undo(record.spec);
}

async function undo(spec: ContainerSpec): Promise<void> {
	const others = readRecords()
		.map((record) => record.spec)
		.filter(({ name }) => name !== spec.name);
	for (const step of await planRemove(spec, others)) await step.run();
	deleteRecord(spec.name);
}

/** Takes a program from all devices that it is attached to. Throws a DatapathError where it is on none. */
export function detach(program: string): Attachment[] {
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
}
