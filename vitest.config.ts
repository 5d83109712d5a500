import { defineKernelConfig } from './vmtests/support/config.ts';

const NOT_OURS = ['**/node_modules/**'];

export default defineKernelConfig({
	include: ['vmtests/**/*.test.ts'],
	exclude: ['vmtests/support/**', ...NOT_OURS],
	projects: [
		{
			test: {
				name: 'host',
				include: ['{kernels,ci,impl,bpf,vmtests/support}/**/*.test.ts'],
				exclude: NOT_OURS,
				isolate: false,
				execArgv: ['--disable-warning=ExperimentalWarning'],
			},
		},
	],
});
