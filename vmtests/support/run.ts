/** One run of vitest, and what is said of it at its end. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { styleText } from 'node:util';
import Table from 'cli-table3';
import { createCLI, parseCLI, startVitest, type Vitest } from 'vitest/node';
import { PathproofError } from '../../kernels/errors.ts';
import { NOT_FULL } from './config.ts';
import { acceptCounts, countsOf, lacking, readCounts } from './counts.ts';
import { askedSelector, DEFAULT_KERNELS, selectKernels } from './select.ts';
import { judgeRun, type Verdict } from './verdict.ts';

export interface Options {
	kernel?: string;
	full?: boolean;
	acceptCounts?: boolean;
	json?: boolean;
}

const COUNTS = 'fixtures/test-counts.json';

/** Answers the exit code; in watch mode, only once the watching ends. */
export async function runTests(words: readonly string[], options: Options): Promise<number> {
	// The configuration file reads these: it is loaded by vitest, and by plain `vitest` too.
	if (options.kernel) process.env.PATHPROOF_KERNEL = options.kernel;
	if (options.full) process.env.PATHPROOF_FULL = '1';
	const { filter, options: given } = parse(words);
	// vitest would tell of a wrong selector as of a broken configuration file.
	await selectKernels(askedSelector());
	const report = process.env.PATHPROOF_TEST_REPORT;
	const reporters = [...[given.reporters ?? given.reporter ?? []].flat(), ...(report ? ['json'] : [])];
	const vitest = await startVitest(
		filter,
		{
			...given,
			...(report && {
				reporters: reporters.length > 1 ? reporters : ['default', 'json'],
				outputFile: { ...(typeof given.outputFile === 'object' && given.outputFile), json: report },
			}),
		},
		undefined,
		options.json ? { stdout: process.stderr, stderr: process.stderr } : undefined,
	);
	if (vitest.config.watch)
		return await new Promise<number>((resolve) => vitest.onClose(() => resolve(Number(process.exitCode ?? 0))));
	const verdict = judgeRun(vitest.state.getTestModules(), vitest.state.getUnhandledErrors());
	const problems = countProblems(vitest, filter, verdict, options);
	const exitCode = verdict.exitCode || (problems.length || process.exitCode ? 1 : 0);
	if (options.json) console.log(JSON.stringify({ schema: 1, ...verdict, exitCode, problems }));
	else console.error(summary(verdict, problems));
	return exitCode;
}

function parse(words: readonly string[]): ReturnType<typeof parseCLI> {
	try {
		// parseCLI takes any word for an option: whether vitest knows it, the parser below it tells.
		const parser = createCLI();
		parser.parse(['node', 'vitest', 'run', ...words], { run: false });
		parser.matchedCommand?.checkUnknownOptions();
		return parseCLI(['vitest', 'run', ...words]);
	} catch (cause) {
		const message = cause instanceof Error ? cause.message : String(cause);
		throw new PathproofError(message, { stage: 'usage', hint: 'npx vitest --help lists what vitest takes', cause });
	}
}

/** Only a run of everything can tell that a test is missing. */
function countProblems(
	vitest: Vitest,
	filter: readonly string[],
	{ projects, exitCode }: Verdict,
	{ full, acceptCounts: accept }: Options,
): string[] {
	const { config } = vitest;
	const file = join(config.root, COUNTS);
	const partial =
		// the kernels of a run share its tests among them: see turns.ts
		askedSelector() !== DEFAULT_KERNELS ||
		filter.length ||
		config.testNamePattern ||
		config.shard ||
		config.changed ||
		config.related ||
		config.tagsFilter?.some((tag) => tag !== NOT_FULL);
	if (accept) {
		if (partial || full || exitCode)
			return [
				`${COUNTS} is left as it is: only a green run of all tests on the default kernels, without --full, can be accepted`,
			];
		acceptCounts(file, countsOf(projects));
		return [];
	}
	if (partial || exitCode || !existsSync(file)) return [];
	return lacking(readCounts(file), countsOf(projects)).map(
		(lack) => `${lack}: if that is meant, run pathproof test --accept-counts`,
	);
}

function summary({ projects, skips, retried }: Verdict, problems: readonly string[]): string {
	const table = new Table({
		head: ['project', 'accelerator', 'passed', 'failed', 'skipped', 'guests lost', 'seconds'],
		style: { head: [], border: [] },
	});
	for (const { project, accel, passed, failed, skipped, lost, ms } of projects)
		table.push([project, accel ?? '', passed, failed, skipped, lost, (ms / 1000).toFixed(1)]);
	return [
		table.toString(),
		...section('skipped', bySameReason(skips)),
		...section('ran again because the guest was lost', retried),
		...problems.map((problem) => styleText('red', problem)),
	].join('\n');
}

/** `22 tests of linux-6.1.192: linux 6.1.192 lacks netkit: …`: what was lacking, once. */
function bySameReason(skips: Verdict['skips']): string[] {
	return Object.values(Object.groupBy(skips, ({ project, reason }) => `${project} ${reason}`)).map((same) => {
		const [{ project, test, reason }] = same as [Verdict['skips'][number]];
		return `${project}: ${same!.length > 1 ? `${same!.length} tests` : test}: ${reason}`;
	});
}

function section(title: string, lines: readonly string[]): string[] {
	return lines.length ? [`${title}:`, ...lines.map((line) => `  ${line}`)] : [];
}
