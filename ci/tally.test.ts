import { expect, test } from 'vitest';
import { type Report, tally } from './tally.ts';

const report = (...files: [status: string, ...tests: string[]][]): Report => ({
	testResults: files.map(([status, ...tests]) => ({ status, assertionResults: tests.map((status) => ({ status })) })),
});

test('tests are summed over files and reports', () => {
	expect(
		tally([report(['passed', 'passed', 'skipped'], ['failed', 'passed', 'failed']), report(['passed', 'todo'])]),
	).toBe('2 passed, 1 failed, 2 skipped');
});

test('a file that does not load counts as one failure', () => {
	expect(tally([report(['failed'], ['failed', 'skipped'])])).toBe('0 passed, 2 failed, 1 skipped');
});

test('a test that had not ended when the run did is a failure', () => {
	expect(tally([report(['failed', 'passed', 'pending'])])).toBe('1 passed, 1 failed, 0 skipped');
});

test('no report, no tests', () => {
	expect(tally([])).toBe('0 passed, 0 failed, 0 skipped');
});
