/** `pathproof perf`: the devices' table. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { PathproofError } from '../../kernels/errors.ts';
import { positive } from './bench-command.ts';
import type { PerfOptions } from './cost/perf.ts';
import { PROTOCOLS, TALK } from './cost/workload.ts';
import { DEVICES } from './types.ts';

interface Instead {
	verifier?: true;
	growth?: true;
}

export function register(program: Command): void {
	program
		.command('perf')
		.description(
			'what a transaction costs over each device, in guest instructions, which are the same on every machine',
		)
		.option('--kernel <selector>', '6.12, 6.12.95, >=6.6, all, a comma list', 'default')
		.addOption(new Option('--workload <name>').choices(PROTOCOLS).default(TALK.protocol))
		.option('--flows <n>', 'connections, each with one request under way', positive, TALK.flows)
		.option('--threads <n>', 'of client and server each', positive, TALK.threads)
		.option('--bytes <n>', 'of a request, and of its response', positive, TALK.bytes)
		.option('--transactions <n>', 'that are counted, a multiple of the flows', positive, TALK.count)
		.addOption(new Option('--device <name...>', 'all without').choices(DEVICES))
		.option(
			'--others',
			'beside those: a bridge as Docker sets it up, veth forwarded and judged by nftables, ipvlan without a guard',
		)
		.option('--forks <n>', 'fresh guests of each, of which the median is shown', positive, 1)
		.option(
			'--accept',
			'keep what is measured as the budget (fixtures/budgets); without, exit 1 where it is out of it, or could not be measured',
		)
		.option('--svg <file>', 'write the table as a picture, too')
		.option('--json', 'print one JSON document: fixtures/schemas/perf.json')
		.addOption(
			new Option(
				'--verifier',
				'instead: the instructions that the verifier goes through for each program, and the budget of those',
			).conflicts(['workload', 'flows', 'threads', 'bytes', 'transactions', 'device', 'others', 'forks', 'svg']),
		)
		.addOption(
			new Option(
				'--growth',
				'instead: how it grows with flows, with the bytes of a message and with containers, of none and of what is redirected',
			).conflicts(['workload', 'flows', 'threads', 'bytes', 'transactions', 'others', 'forks', 'accept', 'verifier']),
		)
		.action(async ({ verifier: verifierAlone, growth: growthAlone, ...options }: PerfOptions & Instead) => {
			// What is imported here is not above: --help needs none of it.
			if (verifierAlone) {
				const { verifier } = await import('./cost/verifier.ts');
				return verifier(options);
			}
			const { transactions, flows, svg } = options;
			if (svg && !existsSync(dirname(svg)))
				throw new PathproofError(`there is no folder for ${svg}`, { stage: 'usage', hint: `mkdir -p ${dirname(svg)}` });
			if (growthAlone) {
				const { growth } = await import('./cost/growth.ts');
				return growth(options);
			}
			if (transactions % flows)
				throw new PathproofError(
					`${transactions} transactions of ${flows} flows: the window would not end as it begins`,
					{
						stage: 'usage',
						hint: `--transactions ${flows * Math.ceil(transactions / flows)}`,
					},
				);
			const { perf } = await import('./cost/perf.ts');
			return perf(options);
		});
}
