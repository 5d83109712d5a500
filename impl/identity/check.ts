/** Whether an identity container is what it was asked to be. */
import { addressBytes, ownAddresses } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { pinPath, withMap } from '../forward/datapath.ts';
import { pinnedProgram } from '../state/attached.ts';
import type { Finding } from '../state/check.ts';
import { remake } from '../state/words.ts';
import { cgroupId, cgroupOf } from './cgroup.ts';
import { identityLinks, lookAtLink } from './links.ts';
import { identityPrograms } from './programs.ts';
import { serviceRows } from './services.ts';
import { identityRow, ownedAddresses, shareKey, shareRows } from './tables.ts';

/** One whose cgroup is there. */
export function checkIdentity(spec: ContainerSpec, all: readonly ContainerSpec[]): Finding[] {
	const path = cgroupOf(spec);
	const cgroup = cgroupId(path)!;
	const lack = (what: string, expected: string, found: string, hint = remake(spec)): Finding => ({
		container: spec.name,
		what,
		expected,
		found,
		hint,
	});
	const present = new Set(ownAddresses().map((address) => addressBytes(address).toString('hex')));
	const links = identityLinks(spec.name).map(lookAtLink);
	const own = new Set(spec.identity!.serves.map((serve) => shareKey(serve).toString('hex')));
	const services = serviceRows(all.filter((one) => one.identity)).filter(({ key }) => own.has(key.toString('hex')));
	const rows = [identityRow(spec, cgroup), ...shareRows(spec, cgroup), ...services];
	return [
		...ownedAddresses(spec)
			.filter(({ address }) => !present.has(addressBytes(address).toString('hex')))
			.map(({ address, add }) =>
				lack(`its address ${address}`, `${address} on this host`, 'no such address', `ip ${add}`),
			),
		...identityPrograms(spec.identity!).flatMap((program) => {
			const link = links.find((one) => one.program === program);
			const what = `${program} on ${path}`;
			if (!link) return [lack(what, 'attached', 'not attached')];
			if (link.cgroup !== cgroup) return [lack(what, 'attached', 'its link is detached')];
			const { id } = pinnedProgram(pinPath('programs', program));
			return link.running === id
				? []
				: [lack(what, `program ${id}, as all others`, `program ${link.running}`, 'pathproof net upgrade')];
		}),
		...rows.flatMap(({ map, key, value }) => {
			const found = withMap(map, (open) => open.lookup(key));
			if (found?.equals(value)) return [];
			return [
				lack(
					`its row of the map ${map}`,
					`${key.toString('hex')}: ${value.toString('hex')}`,
					found?.toString('hex') ?? 'no such row',
				),
			];
		}),
	];
}
