import { expect, test } from 'pathproof';
import { askFeatures } from '../../kernels/ask.ts';
import { FEATURE_NAMES, featureClaim } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';

test('a kernel has the features that are claimed of it, and no others', async ({ vm }) => {
	const found = await askFeatures(vm);
	const otherwise = FEATURE_NAMES.flatMap((name) => {
		const { claim, because } = featureClaim(vm.kernel, name);
		const { has, said } = found[name]!;
		return (claim === 'has') === has ? [] : [`${claim} ${name}: ${because}; the kernel says ${said || 'yes'}`];
	});
	expect(otherwise).toEqual([]);
});

test('asking leaves a kernel as it was', { tags: [FULL] }, async ({ vm }) => {
	const state = async () => {
		const commands = ['ip -br link', 'ls /sys/fs/cgroup', 'bpftool link', 'ls /sys/module'];
		return Promise.all(commands.map(async (command) => (await vm.exec(command.split(' '))).stdout));
	};
	await askFeatures(vm); // modules that probes bring stay
	const before = await state();
	await askFeatures(vm);
	expect(await state()).toEqual(before);
});
