/** `npm run check`: all that is checked without running anything. Says what is wrong, and nothing of what is right. */
import { fileURLToPath } from 'node:url';
import { $, ProcessOutput, which } from 'zx';
import { checkTree } from './imports.ts';

const CHECKS: Record<string, () => Promise<unknown>> = {
	types: () => $`tsc --noEmit`,
	'lint and format': () => $`biome check --error-on-warnings .`,
	'dead code': () => $`knip`,
	'import direction': async () => {
		const wrong = checkTree(fileURLToPath(new URL('..', import.meta.url)));
		if (wrong.length > 0) throw new Error(wrong.join('\n'));
	},
	'format of BPF programs': async () => {
		// Each version formats in a way of its own: the one of the compiler that is named in systems.ts.
		const clangFormat = await which('clang-format-19', { nothrow: true });
		if (!clangFormat)
			return console.error('clang-format-19 is not here: the format of the BPF programs is not checked');
		return $`${clangFormat} --dry-run --Werror ${(await $`git ls-files bpf fixtures`).lines().filter((file) => /\.[ch]$/.test(file))}`;
	},
};

const verdicts = await Promise.allSettled(
	Object.entries(CHECKS).map(([name, check]) =>
		check().catch((failure) => {
			console.error(`✗ ${name}\n${failure instanceof ProcessOutput ? failure.text() : failure.message}`);
			throw failure;
		}),
	),
);
process.exitCode = verdicts.some(({ status }) => status === 'rejected') ? 1 : 0;
