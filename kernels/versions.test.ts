import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { compareDebian, compareUpstream, seriesOf } from './versions.ts';

test.each([
	['6.12.115-1', '6.12.115-2'],
	['6.12.95-1~bpo12+1', '6.12.95-1'],
	['7.4~rc2-1~exp1', '7.4-1'],
	['5.10.259-1', '5.10.262-1'],
	['6.1.9-1', '6.1.10-1'],
	['1:2.0-1', '2:1.0-1'],
	['1.0', '1.0a'],
	['1.0a', '1.0+b'],
])('dpkg and we agree that %s is older than %s', (older, newer) => {
	expect(compareDebian(older, newer)).toBeLessThan(0);
	expect(compareDebian(newer, older)).toBeGreaterThan(0);
	expect(() => execFileSync('dpkg', ['--compare-versions', older, 'lt', newer])).not.toThrow();
});

test('upstream versions are ordered as numbers, and a candidate comes before its release', () => {
	const sorted = ['7.4.0', '6.12.9', '7.4-rc2', '6.12.10', '5.10.262'].sort(compareUpstream);
	expect(sorted).toEqual(['5.10.262', '6.12.9', '6.12.10', '7.4-rc2', '7.4.0']);
});

test('the series is what comes before the second dot', () => {
	expect(['6.12.117', '7.4-rc2', '5.10'].map(seriesOf)).toEqual(['6.12', '7.4', '5.10']);
});
