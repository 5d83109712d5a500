import { expect, test } from 'vitest';
import { featureClaim } from '../../kernels/features.ts';
import { excuse } from './requires.ts';

test('a kernel from before a feature is excused, by the release that brought it', () => {
	const old = { id: '6.4.99', series: '6.4', tier: 'full', flavour: 'cloud' } as const;
	expect(excuse(old, 'tcx', 'EINVAL', featureClaim(old, 'tcx'))).toBe(
		'linux 6.4.99 lacks tcx: it came with Linux 6.6 (e420bed02507)',
	);
});

test('a kernel that ought to have a feature and lacks it is not excused: the test fails', () => {
	const broken = { id: '7.9.1', series: '7.9', tier: 'full', flavour: 'cloud' } as const;
	expect(() => excuse(broken, 'tcx', 'EINVAL', featureClaim(broken, 'tcx'))).toThrow(
		'linux 7.9.1 ought to have tcx (BPF links at tc ingress and egress) and lacks it: it came with Linux 6.6 (e420bed02507); it said EINVAL',
	);
});
