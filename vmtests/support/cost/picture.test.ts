import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PICTURE, perfPicture, readPerf } from './picture.ts';

test("the README's picture is what perf measured: node vmtests/support/cost/picture.ts", () => {
	expect(readFileSync(PICTURE, 'utf8')).toBe(perfPicture(readPerf()));
});

test('a bar has the parts of its row, one behind the other, and ends where the measured host does', () => {
	const { rows } = readPerf();
	const widths = Array.from(perfPicture(readPerf()).matchAll(/width="([\d.]+)" height="14"/g), ([, width]) =>
		Number(width),
	);
	expect(widths).toHaveLength(3 * rows.length);
	const bars = rows.map((_, index) => widths.slice(3 * index, 3 * index + 3).reduce((sum, width) => sum + width, 0));
	const most = Math.max(...rows.map((row) => row.instructionsPerTransaction));
	for (const [index, row] of rows.entries())
		expect(bars[index]! / Math.max(...bars)).toBeCloseTo(row.instructionsPerTransaction / most, 2);
});
