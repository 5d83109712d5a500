/** A pathproof of one's own: a child process that runs a suite of `fixtures/bad-days/`, and what it leaves behind. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { cacheDir } from '../../kernels/cache.ts';

/** The kernel whose bad days are tried; every kernel's are the same machine's. */
export const KERNEL = '6.12';

const HOME = join(import.meta.dirname, '../..');
const MARK = 'PATHPROOF_BAD_DAY';

export interface Row {
	name: string;
	status: 'passed' | 'failed' | 'skipped';
	message: string;
}

export interface Child {
	process: ReturnType<typeof spawnChild>;
	/** finds the processes that came of it, whoever their parent is now */
	mark: string;
	/** the JSON report, once it has ended */
	rows(): Row[];
}

export interface ChildOptions {
	env?: Record<string, string>;
	/** typed into it */
	input?: string;
	/** put before the command: `['unshare', '-n', '--']` */
	under?: string[];
}

/** `pathproof WORDS`. */
export function start(words: string[], { env = {}, under = [], input }: ChildOptions = {}): Child {
	const mark = randomUUID();
	const dir = mkdtempSync(join(tmpdir(), 'bad-day-'));
	const report = join(dir, 'report.json');
	const [program, ...args] = [...under, process.execPath, join(HOME, 'cli.ts'), ...words];
	const child = spawnChild(program!, args, { ...env, [MARK]: mark, PATHPROOF_TEST_REPORT: report }, input);
	let text = '';
	void child.finally(() => {
		if (existsSync(report)) text = readFileSync(report, 'utf8');
		rmSync(dir, { recursive: true });
	});
	return { process: child, mark, rows: () => parseReport(text) };
}

function spawnChild(program: string, args: string[], env: Record<string, string>, input = '') {
	return execa(program, args, {
		cwd: HOME,
		// What vitest sets for its own workers is not for a vitest below them.
		env: { ...env, VITEST: undefined, VITEST_POOL_ID: undefined, NODE_ENV: undefined, PATHPROOF_KERNEL: undefined },
		input,
		all: true,
		reject: false,
		timeout: 240_000,
	});
}

/** `pathproof test` on one file of `fixtures/bad-days`. */
export function startSuite(name: string, options?: ChildOptions, kernel: string = KERNEL): Child {
	return start(['test', '--kernel', kernel, '--root', join(HOME, 'fixtures/bad-days'), name], options);
}

/** A whole run of a suite. */
export interface Outcome {
	rows: Row[];
	exitCode: number | undefined;
	/** both streams, as they came */
	output: string;
	left: Leftovers;
}

export async function runSuite(...suite: Parameters<typeof startSuite>): Promise<Outcome> {
	const child = startSuite(...suite);
	const { exitCode, all } = await child.process;
	return { rows: child.rows(), exitCode, output: all, left: leftovers(child) };
}

/** The row of one test; undefined where it did not run. */
export const rowOf = ({ rows }: Outcome, name: string) => rows.find((row) => row.name === name);

/** Pids of what a child started and did not end. */
export function survivors(mark: string): number[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => readEnvironment(pid).includes(`${MARK}=${mark}`))
		.map(Number);
}

/** What a run may leave behind: processes that came of it, its run-time directory, mounts in the cache. */
export interface Leftovers {
	processes: number[];
	directories: string[];
	mounts: string[];
}

export const NOTHING: Leftovers = { processes: [], directories: [], mounts: [] };

export function leftovers({ mark, process: { pid } }: Pick<Child, 'mark' | 'process'>): Leftovers {
	return { processes: survivors(mark), ...leftoversOf(pid!) };
}

/** The same for a process that is none of `start`'s. */
export function leftoversOf(pid: number): Omit<Leftovers, 'processes'> {
	const cache = cacheDir();
	const mounted = readFileSync('/proc/self/mounts', 'utf8').split('\n');
	return {
		directories: list(join(cache, 'run')).filter((name) => name.startsWith(`${pid}-`)),
		mounts: mounted.map((line) => line.split(' ')[1] ?? '').filter((path) => path.startsWith(cache)),
	};
}

function list(dir: string): string[] {
	try {
		return readdirSync(dir);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

function readEnvironment(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/environ`, 'utf8');
	} catch (error) {
		// It ended while we looked, or is the kernel's.
		if (['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
		throw error;
	}
}

interface Report {
	testResults: { assertionResults: { title: string; status: Row['status']; failureMessages?: string[] }[] }[];
}

function parseReport(text: string): Row[] {
	return (JSON.parse(text) as Report).testResults.flatMap(({ assertionResults }) =>
		assertionResults.map(({ title, status, failureMessages = [] }) => ({
			name: title,
			status,
			message: failureMessages.join('\n'),
		})),
	);
}
