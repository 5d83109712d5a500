import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FEATURE_NAMES, type FeatureRecord, featureClaim, readFeatures } from './features.ts';
import { differencesOf } from './features-command.ts';
import { readLock } from './lock.ts';

const record: FeatureRecord = {
	schema: 1,
	features: {},
	kernels: { '6.12.117': { has: ['cgroup-mprog', 'tcx'], lacks: { 'icmp-send': 'ENOENT' } } },
};
const kernel = { id: '6.12.117', series: '6.12', tier: 'full', flavour: 'cloud' } as const;

describe('what is claimed of a kernel', () => {
	test('a kernel that was asked has what it was seen to have, backports too', () => {
		expect(featureClaim(kernel, 'cgroup-mprog', record)).toEqual({
			claim: 'has',
			because: 'kernels/features.json: 6.12.117 was seen to have it',
		});
		expect(featureClaim(kernel, 'icmp-send', record)).toEqual({
			claim: 'lacks',
			because: 'kernels/features.json: asked for it, 6.12.117 said ENOENT',
		});
	});

	test('of any other the upstream release speaks', () => {
		const older = { ...kernel, id: '6.1.99', series: '6.1' };
		expect(featureClaim(older, 'tcx', record)).toEqual({
			claim: 'lacks',
			because: 'it came with Linux 6.6 (e420bed02507)',
		});
		expect(featureClaim({ ...kernel, id: '6.12.90' }, 'tcx', record).claim).toBe('has');
	});

	test('what a stable release has got from a later series, those after it have too', () => {
		const claimOf = (id: string) => featureClaim({ ...kernel, id }, 'cgroup-mprog', record).claim;
		expect(['6.12.116', '6.12.117-generic', '6.12.118-mine'].map(claimOf)).toEqual(['lacks', 'has', 'has']);
	});

	test('Debian may build a thing later than Linux had it', () => {
		const { claim, because } = featureClaim({ ...kernel, id: '6.8.1', series: '6.8' }, 'netkit', record);
		expect([claim, because]).toEqual(['lacks', 'Debian builds its kernels with it from 6.10 on']);
	});

	test('a kernel whose modules are gone lacks what is a module', () => {
		const image = { ...kernel, id: '7.0.12', series: '7.0', tier: 'image' } as const;
		expect(featureClaim(image, 'veth', record).claim).toBe('lacks');
		expect(featureClaim(image, 'netkit', record).claim).toBe('has');
	});

	test('a build tree has what its configuration says', () => {
		const kdir = mkdtempSync(join(tmpdir(), 'pathproof-tree-'));
		onTestFinished(() => rmSync(kdir, { recursive: true }));
		const config = join(kdir, '.config');
		writeFileSync(config, 'CONFIG_VETH=y\n# CONFIG_TLS is not set\n');
		const tree = { id: 'mine', series: '6.12', tier: 'full', flavour: 'custom', config } as const;
		expect(featureClaim(tree, 'veth', record).claim).toBe('has');
		expect(featureClaim(tree, 'tls', record).because).toBe(`CONFIG_TLS is not set in ${kdir}/.config`);
	});
});

describe('a boot that says something else than the record', () => {
	test('is told both ways', () => {
		const found = { has: ['icmp-send', 'tcx'], lacks: { 'cgroup-mprog': 'EINVAL' } };
		expect(differencesOf('6.12.117', record.kernels['6.12.117'], found)).toEqual([
			{ kernel: '6.12.117', feature: 'icmp-send', recorded: 'lacks', found: 'has', said: '' },
			{ kernel: '6.12.117', feature: 'cgroup-mprog', recorded: 'has', found: 'lacks', said: 'EINVAL' },
		]);
	});
});

test('every kernel that `all` means has been asked for every feature', () => {
	const { kernels } = readFeatures();
	const unasked = readLock().all.flatMap((id) => {
		const { has = [], lacks = {} } = kernels[id] ?? {};
		return FEATURE_NAMES.filter((name) => !has.includes(name) && !(name in lacks)).map((name) => `${id} ${name}`);
	});
	expect(unasked).toEqual([]);
});
