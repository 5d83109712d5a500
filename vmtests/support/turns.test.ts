import { expect, test } from 'vitest';
import type { ProvidedKernel } from './provided.ts';
import { isTurn } from './turns.ts';

const kernel = (series: string): ProvidedKernel => ({
	request: series,
	id: `${series}.1`,
	series,
	version: `${series}.1`,
	release: `${series}.1-cloud-amd64`,
	flavour: 'cloud',
	tier: 'full',
});
const RUN = [kernel('6.1'), kernel('6.12'), kernel('7.3')];
const turns = (n: number, ...needs: Parameters<typeof isTurn>[3]) =>
	RUN.filter((one) => isTurn(one, RUN, n, needs)).map(({ series }) => series);

test('the kernels of a run take turns', () => {
	expect([0, 1, 2, 3].map((n) => turns(n))).toEqual([['6.1'], ['6.12'], ['7.3'], ['6.1']]);
});

test('a kernel without what the test needs has no turn', () => {
	expect([0, 1, 2].map((n) => turns(n, 'netkit'))).toEqual([['6.12'], ['7.3'], ['6.12']]);
});

test('a kernel that runs alone has all of them', () => {
	const [alone] = RUN;
	expect([0, 1, 2].map((n) => isTurn(alone!, [alone!], n, []))).toEqual([true, true, true]);
});

test('what no kernel of the run has is left to the full run', () => {
	const [old] = RUN;
	expect(isTurn(old!, [old!], 0, ['netkit'])).toBe(false);
});
