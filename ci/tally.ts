/** `N passed, N failed, N skipped`: the sum of vitest's JSON reports, given by path. */
import { existsSync, readFileSync } from 'node:fs';

/** What is read of a report of vitest's `json` reporter. */
export interface Report {
	testResults: {
		status: string;
		assertionResults: { status: string }[];
	}[];
}

export function tally(reports: Report[]): string {
	const files = reports.flatMap(({ testResults }) => testResults);
	const tests = files.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
	const count = (...wanted: string[]) => tests.filter((status) => wanted.includes(status)).length;
	// A file that failed to load, or whose hooks failed, has no failed test and is a failure all the same.
	const broken = files.filter(
		({ status, assertionResults }) =>
			status === 'failed' && !assertionResults.some((test) => ['failed', 'pending'].includes(test.status)),
	);
	// `pending`: begun, or waiting, when the run ended.
	const failed = count('failed', 'pending') + broken.length;
	return `${count('passed')} passed, ${failed} failed, ${count('skipped', 'todo')} skipped`;
}

if (import.meta.main) {
	const reports = process.argv.slice(2).filter((path) => existsSync(path));
	console.log(tally(reports.map((path) => JSON.parse(readFileSync(path, 'utf8')) as Report)));
}
