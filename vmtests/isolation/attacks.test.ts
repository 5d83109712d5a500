import { expect, test } from 'pathproof';
import { inject } from 'vitest';
import type { FeatureName } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import type { Device, Forward } from '../support/types.ts';
import { Arena, type Attack, arenaRequest } from './arena.ts';
import { HEADERS } from './headers.ts';
import { NEIGHBOURS } from './neighbours.ts';
import { SOURCES } from './sources.ts';
import { TENANTS } from './tenants.ts';

const ATTACKS: readonly Attack[] = [...SOURCES, ...HEADERS, ...NEIGHBOURS, ...TENANTS];

interface Place {
	device: Device;
	forward: Forward;
	needs: readonly FeatureName[];
	/** of the default run: on which kernels' series, and which of so many parts of the attacks */
	sample?: { series: string; part: number; of: number };
}

/** A slave's guards are links that only kernels with TCX have: elsewhere no ipvlan container is made that is to be guarded. */
const IPVLAN = ['ipvlan', 'tcx'] as const;

const PLACES: readonly Place[] = [
	{ device: 'veth', forward: 'redirect', needs: ['veth'], sample: { series: '6.1', part: 0, of: 1 } },
	{ device: 'veth', forward: 'stack', needs: ['veth'] },
	{ device: 'veth', forward: 'fib', needs: ['veth'] },
	{ device: 'netkit-l2', forward: 'redirect', needs: ['netkit'], sample: { series: '7.3', part: 0, of: 3 } },
	{ device: 'netkit-l2', forward: 'stack', needs: ['netkit'] },
	{ device: 'netkit-l2', forward: 'fib', needs: ['netkit'] },
	{ device: 'netkit-l3', forward: 'redirect', needs: ['netkit'] },
	{ device: 'netkit-l3', forward: 'stack', needs: ['netkit'], sample: { series: '6.12', part: 0, of: 2 } },
	{ device: 'netkit-l3', forward: 'fib', needs: ['netkit'] },
	{ device: 'ipvlan-l2', forward: 'native', needs: IPVLAN, sample: { series: '7.3', part: 1, of: 3 } },
	{ device: 'ipvlan-l3', forward: 'native', needs: IPVLAN, sample: { series: '6.12', part: 1, of: 2 } },
	{ device: 'ipvlan-l3s', forward: 'native', needs: IPVLAN, sample: { series: '7.3', part: 2, of: 3 } },
];

const { series } = inject('pathproofKernel');

for (const { device, forward, needs, sample } of PLACES) {
	const here = sample?.series === series ? sample : undefined;
	const repelled = (attacks: readonly Attack[]) =>
		test(`${attacks.length} attacks with frames from ${device}, ${forward}, end where they must, and succeed without the guard`, {
			tags: attacks === ATTACKS && !(here?.of === 1) ? [FULL] : [],
			timeout: 600_000,
		}, async ({ lab, requires }) => {
			await requires(...needs);
			const some = attacks.filter(({ on }) => on?.includes(device) ?? true);
			const guarded = await Arena.open(await lab(arenaRequest(device, forward, true)));
			const open = await Arena.open(await lab(arenaRequest(device, forward === 'native' ? 'native' : 'stack', false)));
			for (const attack of some) {
				await open.suffer(attack, ATTACKS.indexOf(attack));
				await guarded.repel(attack, ATTACKS.indexOf(attack));
			}
			expect(some.length).toBeGreaterThan(0);
		});
	repelled(ATTACKS);
	if (here && here.of > 1) repelled(ATTACKS.filter((_, index) => index % here.of === here.part));
}
