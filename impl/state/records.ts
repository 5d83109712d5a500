/**
 * What each container was asked to be, and how far that has come: JSON in a pinned BPF map, which lives and goes with the datapath.
 * It is written before the first change and after the last one, so that whoever is killed between leaves word of what was under way.
 */
import type { ContainerSpec } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { isLoaded, openMap, pinPath, withMap } from '../forward/datapath.ts';
import type { BpfMap } from '../libbpf/map.ts';

export interface ContainerRecord {
	/** `adding` and `removing`: who began it has not finished it, or was killed */
	state: 'adding' | 'ready' | 'removing';
	spec: ContainerSpec;
}

/** struct record_name and struct record of bpf/include/policy.h */
const NAME_SIZE = 16;
const RECORD_SIZE = 1024;

/** Containers, looked up one by one as far as they are asked for: a host may have hundreds. Each call begins anew. `state`: those alone. */
export type Others = (state?: ContainerRecord['state']) => IteratorObject<ContainerSpec, undefined>;

/** All, in the order of their names; none where there is no datapath. */
export function readRecords(): ContainerRecord[] {
	return [...eachRecord()].sort((a, b) => (a.spec.name < b.spec.name ? -1 : 1));
}

/** All but these, in no order. `read`: what was read already, for who looks at all of them more than once. */
export function othersThan(names: ReadonlySet<string>, read?: readonly ContainerRecord[]): Others {
	return (wanted) =>
		(read?.values() ?? eachRecord())
			.filter(({ state, spec }) => !names.has(spec.name) && (wanted === undefined || wanted === state))
			.map(({ spec }) => spec);
}

function* eachRecord(): Generator<ContainerRecord, undefined> {
	if (!isLoaded()) return;
	using map = openMap('records');
	for (const key of map.eachKey()) {
		const value = map.lookup(key);
		if (value) yield parse(key, value);
	}
}

/** Null where there is no such container. */
export function readRecord(name: string): ContainerRecord | null {
	return (
		withRecords((map) => {
			const value = map.lookup(keyOf(name));
			return value && parse(keyOf(name), value);
		}) ?? null
	);
}

/** The datapath must be loaded. */
export function writeRecord(record: ContainerRecord): void {
	withMap('records', (map) => map.update(keyOf(record.spec.name), recordBytes(record)));
}

export function deleteRecord(name: string): void {
	withRecords((map) => map.delete(keyOf(name)));
}

/** Throws a DatapathError (`usage`) for what does not fit: hundreds of tenants in `allow`. */
export function recordBytes({ state, spec }: ContainerRecord): Buffer {
	// with a NUL behind it, and as if of the longest state: what can be added can be removed
	const room = RECORD_SIZE - 1;
	if (Buffer.byteLength(JSON.stringify({ state: 'removing', spec })) > room) {
		throw new DatapathError(`what ${spec.name} is asked to be takes more than ${room} bytes`, {
			usage: true,
			hint: `allow fewer tenants than ${spec.allow.length}`,
		});
	}
	const bytes = Buffer.alloc(RECORD_SIZE);
	bytes.write(JSON.stringify({ state, spec }));
	return bytes;
}

function parse(key: Buffer, value: Buffer): ContainerRecord {
	try {
		return JSON.parse(text(value)) as ContainerRecord;
	} catch (cause) {
		throw new DatapathError(`the record of ${text(key)} is no JSON`, {
			hint: `bpftool map dump pinned ${pinPath('maps', 'records')}`,
			cause,
		});
	}
}

function withRecords<T>(act: (map: BpfMap) => T): T | null {
	return isLoaded() ? withMap('records', act) : null;
}

function keyOf(name: string): Buffer {
	const bytes = Buffer.alloc(NAME_SIZE);
	bytes.write(name);
	return bytes;
}

function text(bytes: Buffer): string {
	const end = bytes.indexOf(0);
	return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
