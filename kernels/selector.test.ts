import { expect, test } from 'vitest';
import type { CatalogueEntry } from './kernel.ts';
import type { Lock } from './lock.ts';
import { needsCatalogue, parseSelector, resolve } from './selector.ts';
import { compareUpstream, seriesOf } from './versions.ts';

const kernel = (id: string): CatalogueEntry => {
	const version = id.replace('-generic', '');
	const flavour = id === version ? 'cloud' : 'generic';
	const one = { name: id, version, suite: 'trixie', size: 1, sha256: '0'.repeat(64), filename: id };
	return {
		id,
		series: seriesOf(version),
		version,
		release: id,
		flavour,
		tier: 'full',
		suite: 'trixie',
		packages: [one],
	};
};
const lock: Lock = {
	date: '2026-11-22',
	default: ['6.1.192', '7.3.4'],
	all: ['5.10.262', '6.1.192', '6.12.117', '7.3.4'],
	kernels: ['5.10.262', '6.1.192', '6.12.117', '6.12.117-generic', '7.3.4'].map(kernel),
};
const catalogue = ['6.12.95', '6.12.96', '6.12.117', '6.12.118', '7.4.1', '7.4.2', '6.12.95-generic'].map(kernel);
const ids = (selector: string) =>
	resolve(parseSelector(selector), lock, catalogue).map((found) => ('id' in found ? found.id : found));

test.each([
	['default', ['6.1.192', '7.3.4']],
	['all', ['5.10.262', '6.1.192', '6.12.117', '7.3.4']],
	['6.12', ['6.12.117']],
	['6.12.95', ['6.12.95']],
	['6.12-generic', ['6.12.117-generic']],
	['6.12.95-generic', ['6.12.95-generic']],
	['6.12-cloud', ['6.12.117']],
	['all-generic', ['6.12.117-generic']],
	['>=6.6', ['6.12.117', '7.3.4']],
	['<6.12.117', ['5.10.262', '6.1.192']],
	['=6.12', ['6.12.117']],
	['7.4', ['7.4.2']],
	['7.3, 6.1,default', ['7.3.4', '6.1.192']],
	['./linux,6.1', [{ kind: 'tree', path: './linux' }, '6.1.192']],
	['/boot/vmlinuz:/lib/modules/x', [{ kind: 'files', vmlinuz: '/boot/vmlinuz', modules: '/lib/modules/x' }]],
])('%s', (selector, expected) => {
	expect(ids(selector)).toEqual(expected);
});

test('every: all point releases of the lock and the catalogue, oldest first', () => {
	const every = ids('every') as string[];
	expect(every).toEqual([
		'5.10.262',
		'6.1.192',
		'6.12.95',
		'6.12.96',
		'6.12.117',
		'6.12.118',
		'7.3.4',
		'7.4.1',
		'7.4.2',
	]);
	expect(every).toEqual([...every].sort(compareUpstream));
});

test('a series is the locked kernel, even where the catalogue has a newer one', () => {
	expect(ids('6.12')).toEqual(['6.12.117']);
});

test.each([
	['default', false],
	['6.12,>=6.6,./linux', false],
	['6.12.117', false],
	['every', true],
	['6.12.95', true],
	['7.4', true],
])('whether %s needs the package lists: %s', (selector, needed) => {
	expect(needsCatalogue(parseSelector(selector), lock)).toBe(needed);
});

test.each([
	['defualt', 'did you mean default?'],
	['6.12.97', 'did you mean 6.12.96?'],
	['6.21', 'did you mean 6.12?'],
	['5.4', 'did you mean 5.10?'],
	['6.12.97', 'The series are 5.10 6.1 6.12 7.3 7.4;'],
	['>=9.0', 'no kernel that satisfies it: >=9.0'],
	['6.12,', 'an empty part'],
	['', 'an empty part'],
	['banana', 'a selector is 6.12, 6.12.95, >=6.6, default, all, every'],
])('%j is unknown: %s', (selector, said) => {
	expect(() => ids(selector)).toThrow(said);
	expect(() => ids(selector)).toThrow(expect.objectContaining({ stage: 'usage', exitCode: 2 }));
});
