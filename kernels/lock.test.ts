import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CatalogueEntry } from './kernel.ts';
import { formatLock, LOCK_PATH, moveLock, parseLock, readLock } from './lock.ts';
import { seriesOf } from './versions.ts';

const lock = readLock();

const newer = (version: string, from: CatalogueEntry): CatalogueEntry => ({
	...from,
	id: version,
	version,
	series: seriesOf(version),
	packages: from.packages.map((one) => ({ ...one, sha256: 'f'.repeat(64) })),
});

test("the lock in the repository pins the defaults and a kernel of each series, from Debian's stable suites", () => {
	const series = (ids: string[]) => ids.map(seriesOf);
	expect(series(lock.default)).toEqual(['6.1', '6.12', '7.3']);
	expect(series(lock.all)).toEqual(
		expect.arrayContaining(['5.10', '6.1', '6.12', '6.16', '6.17', '6.18', '6.19', '7.0', '7.1', '7.2', '7.3']),
	);
	expect(lock.kernels.filter(({ suite }) => /sid|forky|experimental/.test(suite))).toEqual([]);
	for (const { version, packages } of lock.kernels) for (const one of packages) expect(one.filename).toContain(version);
});

test('it is written as it is read', () => {
	expect(formatLock(lock)).toBe(readFileSync(LOCK_PATH, 'utf8'));
});

test('nothing newer: nothing moves, not even the date', () => {
	const { lock: same, moves } = moveLock(lock, lock.kernels, '2030-01-01');
	expect(moves).toEqual([]);
	expect(same).toEqual(lock);
});

test('a newer point release moves its series, a new series joins all, the defaults follow their series', () => {
	const old = lock.kernels.find(({ id }) => seriesOf(id) === '6.12' && !id.includes('generic'))!;
	const { lock: moved, moves } = moveLock(
		lock,
		[...lock.kernels, newer('6.12.999', old), newer('9.9.1', old)],
		'2030-01-01',
	);
	expect(moves).toEqual([
		{ flavour: 'cloud', series: '6.12', from: old.version, to: '6.12.999', rebuilt: false },
		{ flavour: 'cloud', series: '9.9', from: null, to: '9.9.1', rebuilt: false },
	]);
	expect(moved.default).toContain('6.12.999');
	expect(moved.default).not.toContain('9.9.1');
	expect(moved.all.at(-1)).toBe('9.9.1');
	expect(moved.date).toBe('2030-01-01');
	expect(parseLock(formatLock(moved), 'x')).toEqual(moved);
});

test('a series that the archive no longer has stays as it was pinned', () => {
	const { lock: kept, moves } = moveLock(
		lock,
		lock.kernels.filter(({ series }) => series !== '6.17'),
		'2030-01-01',
	);
	expect(moves).toEqual([]);
	expect(kept.all).toEqual(lock.all);
});

test.each([
	['no JSON', '{', /no JSON/],
	[
		'a sum that is none',
		readFileSync(LOCK_PATH, 'utf8').replace(/"sha256": "../, '"sha256": "xy'),
		/is no lock: .*sha256/s,
	],
	[
		'a name that nothing pins',
		readFileSync(LOCK_PATH, 'utf8').replace('"default": ["', '"default": ["4.4.4", "'),
		/names 4\.4\.4/,
	],
])('%s is refused with what to type', (_what, text, said) => {
	expect(() => parseLock(text, 'lock.json')).toThrow(said);
	expect(() => parseLock(text, 'lock.json')).toThrow(/kernels update/);
});
