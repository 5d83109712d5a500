/**
 * How many tests run on each of the default kernels, as committed in `fixtures/test-counts.json`: a run of everything that runs fewer
 * fails, so that no test stops running unnoticed. `pathproof test --accept-counts` writes it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { PathproofError } from '../../kernels/errors.ts';
import type { ProjectFigures } from './verdict.ts';

/** By project without its point release: `{ "host": 41, "linux-6.12": 30 }` */
export type Counts = Record<string, number>;

export function countsOf(projects: readonly ProjectFigures[]): Counts {
	return Object.fromEntries(projects.map(({ project, passed, failed }) => [seriesOf(project), passed + failed]));
}

/** `linux-6.12.117-generic` is counted as `linux-6.12-generic`: a newer point release changes no count. */
export function seriesOf(project: string): string {
	return project.replace(/^(linux-\d+\.\d+)\.\d+/, '$1');
}

/** What ran less often than it should: `linux-6.12: 29 tests ran, 30 should`. Projects that were never counted are no lack. */
export function lacking(committed: Counts, ran: Counts): string[] {
	return Object.entries(ran)
		.filter(([project, count]) => count < (committed[project] ?? 0))
		.map(([project, count]) => `${project}: ${count} tests ran, ${committed[project]} should`);
}

export function readCounts(file: string): Counts {
	if (!existsSync(file)) return {};
	try {
		return JSON.parse(readFileSync(file, 'utf8')) as Counts;
	} catch (cause) {
		throw new PathproofError(`${file} is no JSON`, { stage: 'usage', hint: 'pathproof test --accept-counts', cause });
	}
}

/** In place of those that are there. */
export function acceptCounts(file: string, ran: Counts): void {
	const sorted = Object.entries(ran).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
	writeFileSync(file, `${JSON.stringify(Object.fromEntries(sorted), null, '\t')}\n`);
}
