/** Who is behind a service: the rows of the map `services`, in the layout of bpf/include/identity.h. */
import { createHash } from 'node:crypto';
import { addressBytes } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { withMap } from '../forward/datapath.ts';
import type { Row } from '../forward/tables.ts';
import { u32 } from '../libbpf/map.ts';
import { type ContainerRecord, readRecords } from '../state/records.ts';
import { cgroupId, cgroupOf } from './cgroup.ts';
import type { Serve } from './spec.ts';
import { shareKey } from './tables.ts';

export const MAX_BACKENDS = 32;
const SLOTS = 256;
/** struct backend */
const BACKEND_SIZE = 20;
const STICKY = 1;

/** Of each service that one of them is behind, and not drained. */
export function serviceRows(specs: readonly ContainerSpec[]): Row[] {
	// in one order, whoever asks: what is there is compared with what ought to be
	const inOrder = specs.filter(({ identity }) => !identity!.drained).toSorted((a, b) => (a.name < b.name ? -1 : 1));
	const behind = inOrder.flatMap((spec) => spec.identity!.serves.map((serve) => ({ spec, serve })));
	const services = Map.groupBy(behind, ({ serve }) => shareKey(serve).toString('hex'));
	return [...services.values()].map((all) => {
		const backends = Buffer.alloc(MAX_BACKENDS * BACKEND_SIZE);
		for (const [place, { spec, serve }] of all.entries()) {
			addressBytes(backendAddress(spec, serve)!).copy(backends, place * BACKEND_SIZE);
			backends.writeUInt16BE(serve.to, place * BACKEND_SIZE + 16);
		}
		const value = Buffer.concat([
			u32(all.some(({ serve }) => serve.sticky) ? STICKY : 0),
			Buffer.from(slots(all.map(({ spec, serve }) => `${spec.name}:${serve.to}`))),
			backends,
		]);
		return { map: 'services', key: shareKey(all[0]!.serve), value };
	});
}

/**
 * For each of the 256 slots the place of its owner: the one whose hash with the slot is the highest (rendezvous hashing), so that of one
 * that goes or comes only those slots change hands that it had, or gets. At least one name, each once.
 */
export function slots(names: readonly string[]): number[] {
	const weight = (name: string, slot: number) =>
		createHash('sha256').update(`${name}/${slot}`).digest().readUIntBE(0, 6);
	return Array.from({ length: SLOTS }, (_, slot) => {
		const weights = names.map((name) => weight(name, slot));
		return weights.indexOf(Math.max(...weights));
	});
}

/** Its own of the service's family. */
export function backendAddress({ ipv6, ipv4 }: ContainerSpec, { address }: Serve): string | null {
	return address.includes(':') ? ipv6 : ipv4;
}

/**
 * Whoever was killed may have taken one that is not ready from its services already, and nobody listens in one whose cgroup is gone.
 * `changed`: as it is from now on, ready or not.
 */
export function backendsOf(records: readonly ContainerRecord[], changed: ContainerSpec | null): ContainerSpec[] {
	const ready = records.filter(({ state, spec }) => state === 'ready' && spec.identity && spec.name !== changed?.name);
	const all = [...ready.map(({ spec }) => spec), ...(changed ? [changed] : [])];
	return all.filter((spec) => cgroupId(cgroupOf(spec)) !== null);
}

/** What they serve, and nothing else. `changed`: as above. */
export function writeServices(changed: ContainerSpec | null = null): void {
	const rows = serviceRows(backendsOf(readRecords(), changed));
	const kept = new Set(rows.map(({ key }) => key.toString('hex')));
	withMap('services', (map) => {
		for (const { key, value } of rows) map.update(key, value);
		for (const key of map.keys()) if (!kept.has(key.toString('hex'))) map.delete(key);
	});
}
