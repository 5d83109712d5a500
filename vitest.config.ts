import { defineKernelConfig, kernelProjects } from './vmtests/support/config.ts';

const NOT_OURS = ['**/node_modules/**'];

/** How the framework itself judges: on one kernel, whichever it is. */
const [surface] = await kernelProjects({
	include: ['vmtests/surface/**/*.test.ts'],
	exclude: NOT_OURS,
	test: { name: 'surface' },
});

export default defineKernelConfig({
	include: ['vmtests/**/*.test.ts'],
	exclude: ['vmtests/{support,surface,bad-days}/**', ...NOT_OURS],
	projects: [
		surface!,
		{
			test: {
				name: 'host',
				include: ['{kernels,ci,impl,bpf,vmtests/support}/**/*.test.ts'],
				exclude: NOT_OURS,
				isolate: false,
				execArgv: ['--disable-warning=ExperimentalWarning'],
			},
		},
		{
			test: {
				name: 'bad-days',
				include: ['vmtests/bad-days/**/*.test.ts'],
				exclude: NOT_OURS,
				testTimeout: 240_000,
				hookTimeout: 240_000,
				execArgv: ['--disable-warning=ExperimentalWarning'],
			},
		},
	],
});
