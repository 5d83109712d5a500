/** Runs that are ended in their middle. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Child, KERNEL, leftovers, NOTHING, start, startSuite, survivors } from './child.ts';

let child: Child;

/** A run that has a guest, and is busy in it. */
async function inTheMiddle(): Promise<Child> {
	const dir = mkdtempSync(join(tmpdir(), 'patient-'));
	const sign = join(dir, 'sign'); // vitest holds back what a test prints
	child = startSuite('patient', { env: { PATHPROOF_PATIENT: sign } });
	while (!existsSync(sign)) {
		expect(child.process.nodeChildProcess.exitCode).toBe(null);
		await sleep(50);
	}
	rmSync(dir, { recursive: true });
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
		expect(leftovers(child)).toEqual(NOTHING);
	});

	test('by kill -9: its guests die with it, and the next run sweeps what it left', async () => {
		const { process: run } = await inTheMiddle();
		run.kill('SIGKILL');
		await run;
		expect(await settled()).toEqual([]);
		await sleep(2_100); // a directory younger than that may be somebody's who is about to lock it
		await start(['shell', '--kernel', KERNEL, '--lab', 'none']).process;
		expect(leftovers(child)).toEqual(NOTHING);
	});
});
