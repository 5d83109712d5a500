/** Guests that fail in the middle of a test, each for real. */
import { beforeAll, describe, expect, test } from 'vitest';
import { machineState, type Row, startSuite, survivors } from './child.ts';

interface Outcome {
	rows: Row[];
	exitCode: number | undefined;
	output: string;
	survivors: number[];
}

async function run(suite: string): Promise<Outcome> {
	const child = startSuite(suite);
	const { exitCode, all } = await child.process;
	return { rows: child.rows(), exitCode, output: all, survivors: survivors(child.mark) };
}

const row = ({ rows }: Outcome, name: string) => rows.find((one) => one.name === name);

describe('a guest that is lost is the fault of no test', () => {
	let before: ReturnType<typeof machineState>;
	let outcome: Outcome;
	beforeAll(async () => {
		before = machineState();
		outcome = await run('lost');
	});

	test.for([
		['powers off', /the guest powered itself off \[lost, linux 6\.12\.\d+, (?:tcg|kvm)\]/],
		['loses its QEMU', /QEMU was killed by SIGKILL \[lost, linux 6\.12\.\d+, (?:tcg|kvm)\]/],
		['loses its agent', /\[lost, linux 6\.12\.\d+, (?:tcg|kvm)\][\s\S]*the agent ended with status 137/],
	] as const)('a guest that %s: its test says so, and the next test on that kernel passes', ([name, message]) => {
		expect(row(outcome, `a guest that ${name}`)).toMatchObject({
			status: 'failed',
			message: expect.stringMatching(message),
		});
		expect(row(outcome, `the test after a guest that ${name}`)).toMatchObject({ status: 'passed' });
	});

	test('it was tried once more, and the run ends with 69: only the machine failed', () => {
		expect(outcome.output).toContain('ran again because the guest was lost');
		expect(outcome.exitCode).toBe(69);
	});

	test('nothing is left behind', () => {
		expect(outcome.survivors).toEqual([]);
		expect(machineState()).toEqual(before);
	});
});

describe('a kernel that fails is a finding', () => {
	let before: ReturnType<typeof machineState>;
	let outcome: Outcome;
	beforeAll(async () => {
		before = machineState();
		outcome = await run('guilty');
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
			expect(row(outcome, `a guest that ${name}`)).toMatchObject({
				status: 'failed',
				message: expect.stringMatching(message),
			});
			expect(row(outcome, `the test after a guest that ${name}`)).toMatchObject({ status: 'passed' });
		},
	);

	test('it is not tried again, and the run ends with 1', () => {
		expect(outcome.output).not.toContain('ran again because the guest was lost');
		expect(outcome.exitCode).toBe(1);
	});

	test('the guest that hangs is kept, for a look with pathproof shell --from', () => {
		expect(row(outcome, 'a guest that hangs')?.message).toMatch(
			/npx pathproof shell --from "6\.12\.\d+-[^"]*a-guest-that-hangs"/,
		);
	});

	test('nothing is left behind', () => {
		expect(outcome.survivors).toEqual([]);
		expect(machineState()).toEqual(before);
	});
});
