/**
 * What a transaction costs does not hang on how many others there are: `npx pathproof perf --growth` draws it. In guest instructions,
 * which are not cycles: caches that run full show in none of it. PATHPROOF_SHOW prints the figures.
 */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { exponentOf } from '../support/cost/figures.ts';
import { type Axis, measureGrowth } from '../support/cost/growth.ts';
import { COUNTED } from '../support/cost/measure.ts';

test.for([
	{ axis: 'containers', points: [1, 10, 50], words: 'with 50 containers on its host as with one' },
	// of fewer, threads wait more often
	{ axis: 'flows', points: [50, 250, 500], words: 'of 500 flows as of 50' },
] as const satisfies { axis: Axis; points: readonly number[]; words: string }[])(
	'a transaction costs the host as much $words',
	{ tags: [FULL], timeout: 1_800_000 },
	async ({ axis, points }, { lab, requires, annotate }) => {
		await requires('veth');
		const on = await lab({ ...COUNTED, device: 'veth', forward: 'redirect' });
		const grown = await measureGrowth(on, 'veth', axis, points);
		const exponent = exponentOf(grown.map(({ at, host }) => [at, host]));
		const said = [...grown.map(({ at, host }) => `${at}: ${host.toFixed(0)}`), `exponent ${exponent.toFixed(4)}`].join(
			', ',
		);
		await annotate(said);
		if (process.env.PATHPROOF_SHOW) console.log(on.vm.kernel.id, axis, said);
		expect(Math.abs(exponent)).toBeLessThan(0.01);
		for (const { programs } of grown) {
			expect(Object.keys(programs)).toEqual(['egress_neigh', 'ingress_peer']);
			for (const [name, instructions] of Object.entries(programs))
				expect(Math.abs(instructions / grown[0]!.programs[name]! - 1), name).toBeLessThan(0.02);
		}
	},
);

test('of a message of 64 KiB the programs see some large packets, and run no longer for each', {
	tags: [FULL],
	timeout: 1_800_000,
}, async ({ lab, requires, annotate }) => {
	await requires('veth');
	const on = await lab({ ...COUNTED, device: 'veth', forward: 'redirect' });
	const [small, large] = await measureGrowth(on, 'veth', 'bytes', [64, 65_536]);
	const said = [small!, large!]
		.map(({ at, host, packets }) => `${at} bytes: ${host.toFixed(0)}, ${packets} packets`)
		.join('; ');
	await annotate(said);
	if (process.env.PATHPROOF_SHOW) console.log(on.vm.kernel.id, said);
	// a thousand times the bytes
	expect(large!.packets / small!.packets).toBeLessThan(10);
	expect(large!.host / small!.host).toBeLessThan(20);
	for (const [name, instructions] of Object.entries(large!.programs))
		expect(instructions / small!.programs[name]!, name).toBeLessThan(1.05);
});
