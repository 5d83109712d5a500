/** The matrix itself: how many cells there are and run, what is not there and why, and that the default run leaves no row or column out. */
import { describe, expect, test } from 'pathproof';
import { DEVICES, FORWARDS, FORWARDS_OF } from '../../impl/container.ts';
import { readFeatures } from '../../kernels/features.ts';
import { CELLS, cellsOn, isSampled, MISSING, NO_ROWS, PROTOCOLS, ROWS, reasonMissing } from './cells.ts';

/** Written out: a cell that goes missing is a failure, and so is one that nobody counted. */
const COUNTS: Record<string, number> = {
	'5.10.262': 166,
	'6.1.192': 166,
	'6.12.117': 358,
	'6.18.15': 358,
	'7.2.12': 358,
	'7.3.4': 448,
};

describe('how many cells a kernel runs', () => {
	for (const [id, count] of Object.entries(COUNTS))
		test(`linux ${id}: ${count}`, () => {
			const { has } = readFeatures().kernels[id]!;
			const cells = cellsOn((feature) => has.includes(feature));
			console.log(`linux ${id} runs ${cells.length} cells of ${CELLS.length}`);
			expect(cells).toHaveLength(count);
		});
});

test('at least 400 run on the newest', () => {
	expect(COUNTS['7.3.4']).toBeGreaterThanOrEqual(400);
});

test('each pair of device and forward is a row, or is not one for a reason', () => {
	for (const device of DEVICES)
		for (const forward of FORWARDS) {
			const named = NO_ROWS.filter(
				(row) => device.startsWith(row.device) && (row.forwards as readonly string[]).includes(forward),
			);
			const isRow = FORWARDS_OF[device].includes(forward);
			expect([device, forward, named.length]).toEqual([device, forward, isRow ? 0 : 1]);
		}
});

test('each cell that is missing has a reason, and each reason has a cell', () => {
	const all = ROWS.flatMap((row) =>
		(['out', 'in', 'between'] as const).flatMap((direction) =>
			([6, 4] as const).flatMap((family) => PROTOCOLS.map((protocol) => ({ ...row, direction, family, protocol }))),
		),
	);
	const missing = all.filter((cell) => reasonMissing(cell));
	expect(all.length - missing.length).toBe(CELLS.length);
	expect(missing).toHaveLength(32);
	for (const { why } of MISSING) expect(missing.map(reasonMissing)).toContain(why);
});

test('the default run has each row, and each column', () => {
	const sample = CELLS.filter((cell) => isSampled(cell, cell));
	expect(new Set(sample.map(({ device, forward }) => `${device} ${forward}`)).size).toBe(ROWS.length);
	// on whichever kernel: of slaves some have no multicast
	const everywhere = sample.filter((cell) => cellsOn((feature) => feature !== 'tcx', [cell]).length);
	const columns = everywhere.map(({ direction, family, protocol }) => `${direction} IPv${family} ${protocol}`);
	expect(new Set(columns).size).toBe(30);
});
