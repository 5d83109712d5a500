import { describe, expect, test } from 'vitest';
import { comparePath, compareWays, formatRows } from './compare.ts';
import { parsePath } from './path.ts';
import { hop } from './sample.ts';

const way = (text: string) => parsePath(text).steps.map((step) => hop((step as { hop: string }).hop));
const draw = (path: string, taken: string) =>
	formatRows(comparePath(parsePath(path).steps, way(taken)).rows, { left: 'expected', right: 'taken' }).join('\n');

describe('a path with gaps', () => {
	test.each([
		['…', 'a x, b x'],
		['…, c x', 'a x, c x, b x, c x'],
		['a x, …, b x, c x, …, b x', 'a x, b x, d x, b x, c x, b x, b x'],
		['a x, …', 'a x'],
		['…, a x, …', 'a x'],
	])('%s is followed by %s', (path, taken) => {
		expect(comparePath(parsePath(path).steps, way(taken)).same).toBe(true);
	});

	test.each([
		['…, c x', 'c x, b x'],
		['a x, …, a x', 'a x'],
		['a x, …, b x, c x, …, b x', 'a x, b x, c x, d x'],
	])('%s is not followed by %s', (path, taken) => {
		expect(comparePath(parsePath(path).steps, way(taken)).same).toBe(false);
	});

	test('is compared in no time, however many gaps and hops there are', () => {
		const path = Array.from({ length: 30 }, () => '…, a x').join(', ');
		const taken = Array.from({ length: 3000 }, () => 'a x').join(', ');
		const started = performance.now();
		expect(comparePath(parsePath(`${path}, b x`).steps, way(taken)).same).toBe(false);
		expect(performance.now() - started).toBeLessThan(1000);
	});
});

describe('the picture', () => {
	test('shows the hops that a gap took', () => {
		expect(draw('a x, …, d x', 'a x, b x, c x, d x')).toMatchInlineSnapshot(`
			"  expected  │ taken
			  a x       │ a x
			  …         │ b x
			  …         │ c x
			  d x       │ d x"
		`);
	});

	test('shows no more than the first hops of a long gap', () => {
		expect(draw('…, z x', `${'a x, '.repeat(20)}z x`)).toMatchInlineSnapshot(`
			"  expected  │ taken
			  …         │ a x
			  …         │ a x
			  …         │ a x
			  …         │ a x
			  …         │ a x
			  …         │ a x
			  …         │ a x
			  …         │ a x
			  …         │ (12 more)
			  z x       │ z x"
		`);
	});

	test('goes on where both ways meet again', () => {
		expect(draw('a x, b x, e x, f x', 'a x, c x, d x, e x, f x')).toMatchInlineSnapshot(`
			"  expected  │ taken
			  a x       │ a x
			≠ b x       │ c x
			·           │ d x
			  e x       │ e x
			  f x       │ f x"
		`);
	});

	test('shows where in a path with gaps it stopped', () => {
		expect(draw('…, b x, c x, z x', 'a x, b x, c x, x x, y x')).toMatchInlineSnapshot(`
			"  expected   │ taken
			  …          │ a x
			  b x        │ b x
			  c x        │ c x
			≠ z x        │ x x
			· (the end)  │ y x"
		`);
	});

	test('says once where a way has ended', () => {
		expect(draw('a x', 'a x, b x, c x')).toMatchInlineSnapshot(`
			"  expected   │ taken
			  a x        │ a x
			≠ (the end)  │ b x
			·            │ c x"
		`);
		expect(draw('a x, b x, c x', 'a x')).toMatchInlineSnapshot(`
			"  expected  │ taken
			  a x       │ a x
			≠ b x       │ (the end)
			· c x       │"
		`);
	});

	test('of two ways marks the first difference alone with ≠', () => {
		const { rows, same } = compareWays(way('a x, b x, c x, d x'), way('a x, c x, e x'));
		expect(same).toBe(false);
		expect(formatRows(rows, { left: '6.12', right: '7.3' }).join('\n')).toMatchInlineSnapshot(`
			"  6.12  │ 7.3
			  a x   │ a x
			≠ b x   │
			  c x   │ c x
			· d x   │ e x"
		`);
	});
});
