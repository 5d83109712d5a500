import { expect, test } from 'vitest';
import { exponentOf, medianOf, spreadOf } from './figures.ts';

test('the exponent is 0 of what stays, 1 of what grows in proportion, and 2 of a square', () => {
	const along = (of: (x: number) => number) => [1, 10, 100, 500].map((x) => [x, of(x)] as const);
	expect(exponentOf(along(() => 16_200))).toBeCloseTo(0, 12);
	expect(exponentOf(along((x) => 7 * x))).toBeCloseTo(1, 12);
	expect(exponentOf(along((x) => x * x))).toBeCloseTo(2, 12);
	// a tenth more for each factor of ten: log10(1.1)
	expect(exponentOf(along((x) => 16_200 * 1.1 ** Math.log10(x)))).toBeCloseTo(0.041_39, 5);
});

test('the median of an even number is between the middle two; a spread is a part of it', () => {
	expect(medianOf([3, 1, 2, 10])).toBe(2.5);
	expect(spreadOf([99, 100, 101])).toBe(0.02);
	expect(spreadOf([0, 0])).toBe(0);
});
