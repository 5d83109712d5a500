/**
 * vitest's configuration: a project for each kernel, named like `linux-6.12.117`, in which all test files of the suite run.
 *
 *     // vitest.config.ts
 *     import { defineKernelConfig } from 'pathproof/config';
 *     export default defineKernelConfig();
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { TestProjectInlineConfiguration, ViteUserConfig } from 'vitest/config';
import { askedSelector, selectKernels } from './select.ts';
import './provided.ts';

export interface KernelConfig {
	/** which kernels, e.g. `6.12` or `>=6.6`; $PATHPROOF_KERNEL (what `pathproof test --kernel` sets), else `default` without */
	kernel?: string;
	/** globs of the test files that run on every kernel; vitest's own default without */
	include?: string[];
	exclude?: string[];
	/** further options of vitest's for the kernels' projects */
	test?: TestProjectInlineConfiguration['test'];
	/** further projects, e.g. unit tests that need no kernel */
	projects?: TestProjectInlineConfiguration[];
}

/** The tag of tests that only `pathproof test --full` runs, and the filter that leaves them out. */
export const FULL = 'full';
export const NOT_FULL = `not ${FULL}`;

/** Milliseconds. A test may be the first to boot its kernel and to build its lab, on a busy machine without KVM. */
const PATIENCE = 180_000;

/** A guest that was lost is tried once more. Matches the stage in a PathproofError's message, so a failed assertion never is. */
export const LOST_GUEST = /\[(?:boot|ready|snapshot|restore|lost)(?:, [^\]]*)?\]/;

/** Warnings of Node that say nothing of the tests: types are stripped by an API that is still called experimental. */
const QUIET = '--disable-warning=ExperimentalWarning';

/** The whole configuration. Throws a PathproofError (`usage`) where the selector names no kernel. */
export async function defineKernelConfig(options: KernelConfig = {}): Promise<ViteUserConfig> {
	return {
		test: {
			projects: [...(options.projects ?? []), ...(await kernelProjects(options))],
			maxWorkers: availableParallelism(),
			tags: [{ name: FULL, description: 'takes minutes: only with pathproof test --full' }],
			...(process.env.PATHPROOF_FULL ? {} : { tagsFilter: [NOT_FULL] }),
			// An edit in what runs in the guest is an edit of every test: no test imports it.
			forceRerunTriggers: [
				'**/package.json',
				'**/{vitest,vite}.config.*',
				'**/*.bpf.c',
				'**/{impl,bpf,guest}/**/*.{ts,h}',
			],
		},
	};
}

/** The projects alone, for a configuration of one's own. */
export async function kernelProjects({
	kernel,
	include,
	exclude,
	test,
}: KernelConfig = {}): Promise<TestProjectInlineConfiguration[]> {
	const kernels = await selectKernels(kernel ?? askedSelector());
	return kernels.map((chosen) => ({
		test: {
			name: `linux-${chosen.id}`,
			...(include && { include }),
			...(exclude && { exclude }),
			globalSetup: join(import.meta.dirname, 'setup.ts'),
			provide: { pathproofKernel: chosen, pathproofKernels: kernels },
			// A worker keeps its connection to the pool from file to file.
			isolate: false,
			pool: 'forks',
			testTimeout: PATIENCE,
			hookTimeout: PATIENCE,
			retry: { count: 1, condition: LOST_GUEST },
			execArgv: [QUIET],
			// Node strips no types below node_modules: there vite does.
			server: { deps: { inline: [/\/pathproof\/.*\.ts$/] } },
			...test,
		},
	}));
}
