import { expect, test } from 'vitest';
import { bugClaim } from './bugs.ts';
import { seriesOf } from './versions.ts';

const claim = (version: string) => bugClaim({ version, series: seriesOf(version) }, 'udp-wildcard-bind');

test('a kernel is broken until the release of its own series that mends it', () => {
	const broken = ['2.6.33', '5.10.262', '6.1.167', '6.12.79', '6.17.13', '6.18.20', '6.19.10', '7.0-rc7'];
	const mended = ['2.6.32', '6.1.168', '6.1.192', '6.12.80', '6.18.21', '6.19.11', '7.0', '7.0.13', '7.3.4'];
	expect(broken.filter((version) => !claim(version).broken)).toEqual([]);
	expect(mended.filter((version) => claim(version).broken)).toEqual([]);
});

test('a kernel older than a bug has none of it', () => {
	const claimed = (version: string) => bugClaim({ version, series: seriesOf(version) }, 'orphan-abort').broken;
	expect(['4.4.302', '4.5', '5.10.262', '6.1.131', '6.1.192', '6.11'].map(claimed)).toEqual([
		false,
		true,
		true,
		true,
		false,
		false,
	]);
});

test('what is claimed names the fix', () => {
	expect(claim('6.12.79').because).toContain('e537dd15d0d4 mends that (CVE-2026-31503), in Linux 7.0 and 6.12.80');
	expect(claim('5.10.262').because).toMatch(/in Linux 7\.0$/);
});
