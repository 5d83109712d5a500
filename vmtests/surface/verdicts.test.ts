import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'pathproof';
import { HOME } from '../support/payload.ts';

interface Answer {
	exitCode: number;
	document: { projects: object[]; retried: string[]; exitCode: number } | null;
	/** what vitest says to a person */
	said: string;
}

/** `pathproof test` in a project of somebody else's, which has this package among its own. */
async function pathproofTest(kernel: string, ...words: string[]): Promise<Answer> {
	const project = mkdtempSync(join(tmpdir(), 'pathproof-project-'));
	try {
		cpSync(join(HOME, 'fixtures/project'), project, { recursive: true });
		writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
		mkdirSync(join(project, 'node_modules'));
		symlinkSync(HOME, join(project, 'node_modules/pathproof'));
		const { exitCode, stdout, stderr } = await execa(
			process.execPath,
			[join(HOME, 'cli.ts'), 'test', '--kernel', kernel, '--json', ...words],
			{ cwd: project, reject: false, env: { VITEST: undefined, NO_COLOR: '1', PATHPROOF_TEST_REPORT: '' } },
		);
		return { exitCode: exitCode!, document: stdout ? JSON.parse(stdout) : null, said: stderr };
	} finally {
		rmSync(project, { recursive: true });
	}
}

describe("a stranger's project, on good days and bad ones", () => {
	let answer: Answer;

	test.beforeAll(async ({ kernel }) => {
		answer = await pathproofTest(kernel.request);
	});

	/** What was said of one test. */
	function failureOf(name: string): string {
		return answer.said.split(/^ FAIL /m).find((part) => part.split('\n', 1)[0]!.endsWith(`> ${name}`)) ?? '';
	}

	test('fails as a whole, for reasons of its own, and says how many failed', ({ kernel }) => {
		expect(answer.exitCode).toBe(1);
		expect(answer.document).toMatchObject({
			exitCode: 1,
			projects: [{ project: `linux-${kernel.id}`, passed: 3, failed: 4, skipped: 0, lost: 2 }],
		});
	});

	test('a panic fails the test that caused it, with the first symbols of its stack, even where all assertions held', () => {
		const failure = failureOf('a guest panics, though each assertion holds');
		expect(failure).toContain('[panic, linux');
		expect(failure).toMatch(/fingerprint: .*sysrq/);
	});

	test('a panic that was announced is none, but one that was announced and did not come fails', () => {
		expect(failureOf('a guest panics, as it was meant to')).toBe('');
		expect(failureOf('a guest was meant to panic and lives on')).toContain('the guest was to end (panic) and runs on');
	});

	test('a failed assertion names the command that resumes the very guest it failed in', ({ kernel }) => {
		expect(failureOf('an assertion fails')).toContain(`npx pathproof shell --from "${kernel.id}-an-assertion-fails"`);
	});

	test('a lost guest is tried once more and reported apart; a failed assertion never is', () => {
		expect(failureOf('a guest is lost once')).toBe('');
		expect(answer.document!.retried).toEqual([
			expect.stringContaining('a guest is lost once'),
			expect.stringContaining('a guest is lost every time'),
		]);
	});
});

test('where only guests were lost, the exit code blames the machine', async ({ kernel }) => {
	const { exitCode, document } = await pathproofTest(kernel.request, '-t', 'is lost every time');
	expect(exitCode).toBe(69);
	expect(document).toMatchObject({ exitCode: 69, projects: [{ passed: 0, failed: 1 }] });
});

test('a kernel that nobody knows is a wrong call, answered with the nearest', async () => {
	const { exitCode, said, document } = await pathproofTest('6.21');
	expect(exitCode).toBe(2);
	expect(JSON.stringify(document)).toContain('did you mean');
	expect(said).not.toContain('    at ');
});
