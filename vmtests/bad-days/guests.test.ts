/** Guests that fail in the middle of a test, each for real. */
import { beforeAll, describe, expect, test } from 'vitest';
import { NOTHING, type Outcome, rowOf, runSuite } from './child.ts';

describe('a guest that is lost is the fault of no test', () => {
	let outcome: Outcome;
	beforeAll(async () => {
		outcome = await runSuite('lost');
	});

	test.for([
		['powers off', /the guest powered itself off \[lost, linux 6\.12\.\d+, (?:tcg|kvm)\]/],
		['loses its QEMU', /QEMU was killed by SIGKILL \[lost, linux 6\.12\.\d+, (?:tcg|kvm)\]/],
		['loses its agent', /\[lost, linux 6\.12\.\d+, (?:tcg|kvm)\][\s\S]*the agent ended with status 137/],
	] as const)('a guest that %s: its test says so, and the next test on that kernel passes', ([name, message]) => {
		expect(rowOf(outcome, `a guest that ${name}`)).toMatchObject({
			status: 'failed',
			message: expect.stringMatching(message),
		});
		expect(rowOf(outcome, `the test after a guest that ${name}`)).toMatchObject({ status: 'passed' });
	});

	test('it was tried once more, and the run ends with 69: only the machine failed', () => {
		expect(outcome.output).toContain('ran again because the guest was lost');
		expect(outcome.exitCode).toBe(69);
	});

	test('nothing is left behind', () => {
		expect(outcome.left).toEqual(NOTHING);
	});
});

describe('a kernel that fails is a finding', () => {
	let outcome: Outcome;
	beforeAll(async () => {
		outcome = await runSuite('guilty');
	});

	test.for([
		[
			'panics',
			/Kernel panic - not syncing: sysrq triggered crash \[panic, linux 6\.12\.\d+, \w+\]\nfingerprint: sysrq_handle_crash < __handle_sysrq/,
		],
		['oopses', /Oops: invalid opcode: 0000 [\s\S]*\[panic, linux 6\.12\.\d+, \w+\]\nfingerprint: uptime_proc_show/],
		['hangs', /no answer to run\(\) within \d+ ms \[call, linux 6\.12\.\d+, \w+\]/],
	] as const)(
		'a guest that %s fails the test that caused it, and the next test on that kernel passes',
		([name, message]) => {
			expect(rowOf(outcome, `a guest that ${name}`)).toMatchObject({
				status: 'failed',
				message: expect.stringMatching(message),
			});
			expect(rowOf(outcome, `the test after a guest that ${name}`)).toMatchObject({ status: 'passed' });
		},
	);

	test('it is not tried again, and the run ends with 1', () => {
		expect(outcome.output).not.toContain('ran again because the guest was lost');
		expect(outcome.exitCode).toBe(1);
	});

	test('the guest that hangs is kept, for a look with pathproof shell --from', () => {
		expect(rowOf(outcome, 'a guest that hangs')?.message).toMatch(
			/npx pathproof shell --from "6\.12\.\d+-[^"]*a-guest-that-hangs"/,
		);
	});

	test('nothing is left behind', () => {
		expect(outcome.left).toEqual(NOTHING);
	});
});
