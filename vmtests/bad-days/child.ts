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
	return {
		process: child,
		mark,
		rows() {
			try {
				return parseReport(readFileSync(report, 'utf8'));
			} finally {
				rmSync(dir, { recursive: true });
			}
		},
	};
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

/** Pids of what a child started and did not end. */
export function survivors(mark: string): number[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.filter((pid) => readEnvironment(pid).includes(`${MARK}=${mark}`))
		.map(Number);
}

/** What a run may leave behind in the machine, to be compared before and after. */
export function machineState(cache: string = cacheDir()): { mounts: string; devices: string; orphans: string[] } {
	return {
		mounts: readFileSync('/proc/self/mounts', 'utf8'),
		devices: readFileSync('/proc/net/dev', 'utf8').replace(/:.*/g, ''),
		// Named for the process that made it. That of a living one is in use: this very run has a pool of its own.
		orphans: list(join(cache, 'run')).filter((name) => !existsSync(`/proc/${name.split('-')[0]}`)),
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
