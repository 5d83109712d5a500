/** `pathproof perf`: the devices' table. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { positive } from './bench-command.ts';
import type { PerfOptions } from './cost/perf.ts';
import { PROTOCOLS } from './cost/workload.ts';
import { DEVICES } from './types.ts';

export function register(program: Command): void {
	program
		.command('perf')
		.description(
			'what a transaction costs over each device, in guest instructions, which are the same on every machine',
		)
		.option('--kernel <selector>', '6.12, 6.12.95, >=6.6, all, a comma list', 'default')
		.addOption(new Option('--workload <name>').choices(PROTOCOLS).default('tcp_rr'))
		.option('--flows <n>', 'connections, each with one request under way', positive, 500)
		.option('--threads <n>', 'of client and server each', positive, 36)
		.option('--bytes <n>', 'of a request, and of its response', positive, 1)
		.option('--transactions <n>', 'that are counted, a multiple of the flows', positive, 4000)
		.addOption(new Option('--device <name...>', 'all without').choices(DEVICES))
		.option('--forks <n>', 'fresh guests of each, of which the median is shown', positive, 1)
		.option('--json', 'print one JSON document: fixtures/schemas/perf.json')
		.action(async (options: PerfOptions) => {
			if (options.transactions % options.flows)
				throw new InvalidArgumentError(
					`--transactions: a multiple of ${options.flows}, so that a window ends as it begins`,
				);
			const { perf } = await import('./cost/perf.ts'); // not imported above: --help needs none of it
			await perf(options);
		});
}
