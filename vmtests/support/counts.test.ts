import { expect, test } from 'vitest';
import { countsOf, lacking, seriesOf } from './counts.ts';

test('a newer point release is counted as its series', () => {
	expect(['linux-6.12.117', 'linux-7.3.4-generic', 'host', 'linux-6.12.117+small'].map(seriesOf)).toEqual([
		'linux-6.12',
		'linux-7.3-generic',
		'host',
		'linux-6.12+small',
	]);
});

test('fewer tests than committed are a lack, more are not, and a skipped test has not run', () => {
	const figures = { accel: null, failed: 1, skipped: 5, lost: 0, ms: 0 };
	const ran = countsOf([
		{ project: 'host', passed: 40, ...figures },
		{ project: 'linux-6.1.176', passed: 8, ...figures },
		{ project: 'linux-7.4.0', passed: 3, ...figures },
	]);
	expect(lacking({ host: 41, 'linux-6.1': 10, 'linux-5.10': 10 }, ran)).toEqual(['linux-6.1: 9 tests ran, 10 should']);
});
