/** What a run came to: figures per project, and whether it failed for its own reason or only for the machine's. */
import type { TestCase, TestModule } from 'vitest/node';
import type { Accel } from '../../kernels/vm.ts';
import type {} from './forks.ts';

export interface ProjectFigures {
	/** `linux-6.12.117`, `host` */
	project: string;
	/** where a guest was asked for */
	accel: Accel | null;
	passed: number;
	failed: number;
	skipped: number;
	/** tests that ran again because their guest was lost */
	lost: number;
	/** milliseconds, the sum over its tests */
	ms: number;
}

export interface Verdict {
	projects: ProjectFigures[];
	skips: { project: string; test: string; reason: string }[];
	/** tests whose guest was lost and that ran again, with the reason */
	retried: string[];
	/** 0: all passed; 1: a test failed for its own reason; 69: only the machine or a guest failed */
	exitCode: 0 | 1 | 69;
}

/** The stages of a PathproofError, as its message shows them, that are the machine's fault: such a test is tried once more. */
export const INFRASTRUCTURE = /\[(?:setup|fetch|unpack|boot|ready|snapshot|restore|lost)(?:, [^\]]*)?\]/;

export function judgeRun(modules: readonly TestModule[], unhandled: readonly unknown[]): Verdict {
	const figures = new Map<string, ProjectFigures>();
	const verdict: Verdict = { projects: [], skips: [], retried: [], exitCode: 0 };
	const blame: string[] = unhandled.map(messageOf);
	for (const module of modules) {
		const project = module.project.name;
		const figure = figures.get(project) ?? { project, accel: null, passed: 0, failed: 0, skipped: 0, lost: 0, ms: 0 };
		figures.set(project, figure);
		blame.push(...module.errors().map(messageOf));
		for (const suite of module.children.allSuites()) blame.push(...suite.errors().map(messageOf));
		for (const test of module.children.allTests()) tally(test, figure, verdict, blame);
	}
	verdict.projects = [...figures.values()].sort((a, b) => a.project.localeCompare(b.project, 'en', { numeric: true }));
	if (blame.length) verdict.exitCode = blame.every((message) => INFRASTRUCTURE.test(message)) ? 69 : 1;
	return verdict;
}

function tally(test: TestCase, figure: ProjectFigures, verdict: Verdict, blame: string[]): void {
	const result = test.result();
	const { pathproof } = test.meta();
	const name = `${figure.project} ${test.fullName}`;
	if (pathproof) figure.accel = pathproof.accel;
	figure.ms += test.diagnostic()?.duration ?? 0;
	if (result.state === 'pending') return;
	const note = result.state === 'skipped' ? result.note : undefined;
	// Without a note, a filter of the call left it out, and nobody skipped it.
	if (result.state === 'skipped' && !note) return;
	figure[result.state]++;
	if (note) verdict.skips.push({ project: figure.project, test: test.fullName, reason: note });
	if (result.state === 'failed') blame.push(messageOf(result.errors.at(-1)));
	if ((test.diagnostic()?.retryCount ?? 0) === 0) return;
	figure.lost++;
	verdict.retried.push(`${name}: ${messageOf(result.errors?.[0]).split('\n')[0]}`);
}

function messageOf(error: unknown): string {
	if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
	return String(error);
}
