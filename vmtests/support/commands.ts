/** `pathproof test`: vitest on the kernels of a selector, with everything else on the line left to vitest. */
import type { Command } from 'commander';
import type { Options } from './run.ts';

export function register(program: Command): void {
	program
		.command('test')
		.description('run the suites on the kernels of a selector')
		.argument('[vitest...]', "vitest's own arguments: file filters, -t NAME, --watch, --shard 1/2, --reporter …")
		.option('--kernel <selector>', 'e.g. 6.12, 6.12.95, ">=6.6", default, all, 5.10,7.3, the path of a build tree')
		.option('--full', 'the long tests too')
		.option('--accept-counts', 'commit to as many tests per default kernel as ran now (fixtures/test-counts.json)')
		.option('--json', 'one document on stdout, all else on stderr')
		.allowUnknownOption()
		.allowExcessArguments()
		.action(async (words: string[], options: Options) => {
			// Not imported above: --help needs no vitest.
			const { runTests } = await import('./run.ts');
			process.exitCode = await runTests(words, options);
		});
}
