/**
 * Born closed: the owner of a container waits for its device, inside, and sends from its first instant on what may never be sent. None
 * of it gets anywhere, since a device is not up before its programs are attached, a netkit is born `blackhole`, and an ipvlan slave is
 * moved with its programs on it. The same steps in another order let some through.
 */
import { type Device, describe, expect, test } from 'pathproof';
import { FORWARDS_OF } from '../../impl/container.ts';
import type { FeatureName } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import type { Birth } from '../support/guest/born.ts';
import { turn } from '../support/turns.ts';
import { bearer } from './bear.ts';

/** Device `none` is the host's own netns: nothing is born. */
const DEVICES = (Object.keys(DEVICE_NEEDS) as Device[]).filter((device) => device !== 'none');

const ALL = DEVICES.flatMap((device) =>
	FORWARDS_OF[device].map((forward) => ({
		device,
		forward,
		needs: [
			'veth',
			...DEVICE_NEEDS[device],
			...(forward === 'redirect-egress' ? ['redirect-peer-egress'] : []),
		] as FeatureName[],
	})),
);
/** What the default run takes. */
const SAMPLE: readonly string[] = ['veth stack'];

const LAB = { device: 'veth', forward: 'redirect', tracer: false } as const;
const BIRTHS = 3;
const FULL_BIRTHS = { redirect: 20, native: 20, 'redirect-egress': 8, fib: 8, stack: 8 } as const;

/** Frames that an IP stack got, or a device of the host's sent. */
function passed({ seen }: Birth): number {
	return seen
		.filter(({ end, netns }) => netns !== 'late' && ['stack', 'left', 'left foreign'].includes(end))
		.reduce((sum, { count }) => sum + count, 0);
}

function refused({ seen }: Birth): number {
	return seen.filter(({ end }) => end === 'refused').reduce((sum, { count }) => sum + count, 0);
}

describe.for(ALL)('$device, forward $forward', ({ device, forward, needs }) => {
	const sample = SAMPLE.includes(`${device} ${forward}`) ? turn(2) : { tags: [FULL] };

	const title = 'of what its owner sends from the first instant on nothing passes; some does in another order';
	test(title, sample, async ({ lab, requires }) => {
		await requires(...needs);
		const bear = await bearer(await lab(LAB));
		for (let birth = 0; birth < BIRTHS; birth++) {
			const born = await bear(device, forward, 'as planned');
			expect(born.attempts).toBeGreaterThan(0);
			// it was sending when the programs began to judge
			expect(refused(born)).toBeGreaterThan(0);
			expect(passed(born)).toBe(0);
		}
		expect(passed(await bear(device, forward, 'out of order'))).toBeGreaterThan(0);
	});

	test('in many births nothing passes', { tags: [FULL], timeout: 900_000 }, async ({ lab, requires }) => {
		await requires(...needs);
		const bear = await bearer(await lab(LAB));
		const births = FULL_BIRTHS[forward as keyof typeof FULL_BIRTHS];
		const counts: number[] = [];
		for (let birth = 0; birth < births; birth++) counts.push(passed(await bear(device, forward, 'as planned')));
		expect(counts).toEqual(counts.map(() => 0));
		expect(counts).toHaveLength(births);
	});
});
