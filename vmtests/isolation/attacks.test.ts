import { test } from 'pathproof';
import type { FeatureName } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import type { Device, Forward } from '../support/types.ts';
import { Arena, type Attack, arenaRequest, DEVICES, IPVLAN } from './arena.ts';
import { HEADERS } from './headers.ts';
import { NEIGHBOURS } from './neighbours.ts';
import { SOURCES } from './sources.ts';
import { TENANTS } from './tenants.ts';

const ATTACKS: readonly Attack[] = [...SOURCES, ...HEADERS, ...NEIGHBOURS, ...TENANTS];

/** By default one in so many is tried, with the guard alone. */
const SAMPLE = 8;

interface Place {
	device: Device;
	forward: Forward;
	needs: readonly FeatureName[];
}

const PLACES: readonly Place[] = [
	{ device: 'veth', forward: 'redirect', needs: ['veth'] },
	{ device: 'veth', forward: 'stack', needs: ['veth'] },
	{ device: 'veth', forward: 'fib', needs: ['veth'] },
	{ device: 'netkit-l2', forward: 'redirect', needs: ['netkit'] },
	{ device: 'netkit-l2', forward: 'stack', needs: ['netkit'] },
	{ device: 'netkit-l2', forward: 'fib', needs: ['netkit'] },
	{ device: 'netkit-l3', forward: 'redirect', needs: ['netkit'] },
	{ device: 'netkit-l3', forward: 'stack', needs: ['netkit'] },
	{ device: 'netkit-l3', forward: 'fib', needs: ['netkit'] },
	{ device: 'ipvlan-l2', forward: 'native', needs: IPVLAN },
	{ device: 'ipvlan-l3', forward: 'native', needs: IPVLAN },
	{ device: 'ipvlan-l3s', forward: 'native', needs: IPVLAN },
];

for (const { device, forward, needs, tags } of DEVICES) {
	// whole, on every device, below
	if (tags.includes(FULL)) continue;
	test(`a sample of the attacks with frames from ${device} ends where it must`, async ({ lab, requires }) => {
		await requires(...needs);
		const guarded = await Arena.open(await lab(arenaRequest(device, forward, true)));
		for (const [index, attack] of ATTACKS.entries())
			if (index % SAMPLE === 0 && (attack.on?.includes(device) ?? true)) await guarded.repel(attack, index);
	});
}

for (const { device, forward, needs } of PLACES) {
	test(`attacks with frames from ${device}, ${forward}, end where they must, and succeed without the guard`, {
		tags: [FULL],
		timeout: 600_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const guarded = await Arena.open(await lab(arenaRequest(device, forward, true)));
		const open = await Arena.open(await lab(arenaRequest(device, forward === 'native' ? 'native' : 'stack', false)));
		for (const [index, attack] of ATTACKS.entries()) {
			if (attack.on && !attack.on.includes(device)) continue;
			await open.suffer(attack, index);
			await guarded.repel(attack, index);
		}
	});
}
