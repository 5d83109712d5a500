/** `pathproof bench`: what the machinery itself costs. */
import { type Command, InvalidArgumentError } from 'commander';
import type { BenchOptions } from './bench.ts';
import type { BenchTraceOptions } from './bench-trace.ts';

export function register(program: Command): void {
	const bench = program.command('bench').description('What the machinery itself costs.');
	bench
		.command('boot')
		.description('how long a cold boot and a restored fork take, and how long a test waits for its own')
		.option('--kernel <selector>', '6.12, 6.12.95, >=6.6, all, a comma list', 'default')
		.option('--runs <n>', 'runs of each, of which the median is shown', positive, 5)
		.option('--json', 'print one JSON document: fixtures/schemas/boot.json')
		.action(async (options: BenchOptions) => {
			const { benchBoot } = await import('./bench.ts'); // not imported above: --help needs none of it
			await benchBoot(options);
		});
	bench
		.command('trace')
		.description('what the tracer costs a packet, in guest instructions: not there, attached and idle, tracing')
		.option('--kernel <selector>', '6.12, 6.12.95, >=6.6, all, a comma list', 'default')
		.option('--transactions <n>', 'requests of one byte and their answers, in each run', positive, 1000)
		.option('--json', 'print one JSON document: fixtures/schemas/trace-cost.json')
		.action(async (options: BenchTraceOptions) => {
			const { benchTrace } = await import('./bench-trace.ts');
			await benchTrace(options);
		});
}

/** Of an option: a whole number from 1 on. */
export function positive(text: string): number {
	const runs = Number(text);
	if (!Number.isInteger(runs) || runs < 1) throw new InvalidArgumentError('a whole number from 1 on');
	return runs;
}
