/** `pathproof bench`: what the machinery itself costs. */
import { type Command, InvalidArgumentError } from 'commander';
import type { BenchOptions } from './bench.ts';

export function register(program: Command): void {
	program
		.command('bench')
		.description('How long the machinery itself takes.')
		.command('boot')
		.description('how long a cold boot and a restored fork take, and how long a test waits for its own')
		.option('--kernel <selector>', '6.12, 6.12.95, >=6.6, all, a comma list', 'default')
		.option('--runs <n>', 'runs of each, of which the median is shown', positive, 5)
		.option('--json', 'print one JSON document: fixtures/schemas/boot.json')
		.action(async (options: BenchOptions) => {
			const { benchBoot } = await import('./bench.ts'); // not imported above: --help needs none of it
			await benchBoot(options);
		});
}

function positive(text: string): number {
	const runs = Number(text);
	if (!Number.isInteger(runs) || runs < 1) throw new InvalidArgumentError('a whole number from 1 on');
	return runs;
}
