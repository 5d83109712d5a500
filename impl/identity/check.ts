/** Whether an identity container is what it was asked to be; and what makes it that again while its programs run. */
import { existsSync } from 'node:fs';
import { addressBytes, ownAddresses } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { pinPath, withMap } from '../forward/datapath.ts';
import type { Row } from '../forward/tables.ts';
import { ipStep } from '../plan/steps.ts';
import { pinnedProgram } from '../state/attached.ts';
import type { Finding } from '../state/check.ts';
import type { Step } from '../step.ts';
import { cgroupId, cgroupOf } from './cgroup.ts';
import { attachIdentity, identityLinks, lookAtLink } from './links.ts';
import { identityPrograms } from './programs.ts';
import { serviceRows } from './services.ts';
import { identityRow, ownedAddresses, shareKey, shareRows } from './tables.ts';

type Lack = Pick<Finding, 'what' | 'expected' | 'found'> & {
	/** null: another call does it */
	mend: Step | null;
};

/** `spec`: one whose cgroup is there. */
export function checkIdentity(spec: ContainerSpec, all: readonly ContainerSpec[]): Finding[] {
	return lacks(spec, all).map(({ what, expected, found, mend }) => ({
		container: spec.name,
		what,
		expected,
		found,
		hint: mend ? 'pathproof net gc' : 'pathproof net upgrade',
	}));
}

/** Nothing is taken away meanwhile: who has processes in its cgroup is not added anew. `spec`: as above. */
export function mendIdentity(spec: ContainerSpec, all: readonly ContainerSpec[]): Step[] {
	return lacks(spec, all).flatMap(({ mend }) => mend ?? []);
}

/** In the order in which they are to be mended: a cgroup has a row once a program is attached to it. */
function lacks(spec: ContainerSpec, all: readonly ContainerSpec[]): Lack[] {
	const cgroup = cgroupId(cgroupOf(spec))!;
	const served = new Set(spec.identity!.serves.map((serve) => shareKey(serve).toString('hex')));
	const services = serviceRows(all.filter((one) => one.identity)).filter(({ key }) => served.has(key.toString('hex')));
	return [
		...lackingAddresses(spec),
		...lackingPrograms(spec, cgroup),
		...lackingRows(spec, [identityRow(spec, cgroup), ...shareRows(spec, cgroup), ...services]),
	];
}

function lackingAddresses(spec: ContainerSpec): Lack[] {
	const present = new Set(ownAddresses().map((address) => addressBytes(address).toString('hex')));
	return ownedAddresses(spec)
		.filter(({ address }) => !present.has(addressBytes(address).toString('hex')))
		.map(({ address, add }) => ({
			what: `its address ${address}`,
			expected: `${address} on this host`,
			found: 'no such address',
			mend: ipStep(null, [add]),
		}));
}

function lackingPrograms(spec: ContainerSpec, cgroup: bigint): Lack[] {
	const path = cgroupOf(spec);
	const links = identityLinks(spec.name).map(lookAtLink);
	return identityPrograms(spec.identity!).flatMap((program) => {
		const link = links.find((one) => one.program === program);
		const what = `${program} on ${path}`;
		if (!link || link.cgroup !== cgroup)
			return {
				what,
				expected: 'attached',
				found: link ? 'its link is detached' : 'not attached',
				mend: { what: `attach ${program} to ${path}`, run: () => attachIdentity(spec.name, path, cgroup, program) },
			};
		const pin = pinPath('programs', program);
		if (!existsSync(pin)) return { what: `the pin of ${program}`, expected: pin, found: 'no such file', mend: null };
		const { id } = pinnedProgram(pin);
		if (link.running === id) return [];
		return { what, expected: `program ${id}, as all others`, found: `program ${link.running}`, mend: null };
	});
}

function lackingRows({ name }: ContainerSpec, rows: readonly Row[]): Lack[] {
	return rows.flatMap(({ map, key, value }) => {
		const found = withMap(map, (open) => open.lookup(key));
		if (found?.equals(value)) return [];
		return {
			what: `its row of the map ${map}`,
			expected: `${key.toString('hex')}: ${value.toString('hex')}`,
			found: found?.toString('hex') ?? 'no such row',
			mend: {
				what: `${map}: write the row of ${name}`,
				run: () => withMap(map, (open) => open.update(key, value)),
			},
		};
	});
}
