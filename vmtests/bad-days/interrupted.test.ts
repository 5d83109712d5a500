/** Runs that are ended in their middle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Child, KERNEL, machineState, start, startSuite, survivors } from './child.ts';

let before: ReturnType<typeof machineState>;
let child: Child;

beforeEach(() => {
	before = machineState();
});

/** A run that has a guest, and is busy in it. */
async function inTheMiddle(): Promise<Child> {
	child = startSuite('patient');
	for await (const line of child.process.iterable({ from: 'all' })) {
		if (line.includes('in the middle of it')) break;
	}
	return child;
}

async function settled(): Promise<number[]> {
	for (let waited = 0; waited < 5_000 && survivors(child.mark).length > 0; waited += 100) await sleep(100);
	return survivors(child.mark);
}

afterEach(async () => {
	for (const pid of survivors(child.mark)) process.kill(pid, 'SIGKILL');
});

describe('a run that is ended in the middle of a test', () => {
	test('by Ctrl-C: it ends at once, and leaves nothing behind', async () => {
		const { process: run } = await inTheMiddle();
		const asked = performance.now();
		run.kill('SIGINT');
		const { exitCode } = await run;
		expect(exitCode).toBe(130);
		expect(performance.now() - asked).toBeLessThan(10_000);
		expect(await settled()).toEqual([]);
		expect(machineState()).toEqual(before);
	});

	test('by kill -9: its guests die with it, and the next run sweeps what it left', async () => {
		const { process: run } = await inTheMiddle();
		run.kill('SIGKILL');
		await run;
		expect(await settled()).toEqual([]);
		await sleep(2_100); // a directory younger than that may be somebody's who is about to lock it
		await start(['shell', '--kernel', KERNEL, '--lab', 'none']).process;
		expect(machineState()).toEqual(before);
	});
});
