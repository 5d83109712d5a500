/** Many forks, on a machine that is busy with other things. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runDir } from '../../kernels/cache.ts';
import { connectPool, type PoolClient } from '../../kernels/client.ts';
import { type Pool, startPool } from '../../kernels/pool.ts';
import { FULL } from '../support/config.ts';
import { KERNEL, leftoversOf } from './child.ts';

const FORKS = 200;
/** MiB that this process, which owns the pool, may grow by while it lends so many. */
const GROWTH = 50;

const LOAD = 'for (const end = Date.now() + 600_000; Date.now() < end; ) Math.sqrt(Math.random())';

let pool: Pool;
let client: PoolClient;
let load: ReturnType<typeof spawn>[];

beforeAll(async () => {
	load = Array.from({ length: availableParallelism() }, () => spawn(process.execPath, ['-e', LOAD]));
	pool = await startPool();
	client = await connectPool(pool.socket);
	await lend(20); // what is loaded once is loaded now
});

afterAll(async () => {
	await client[Symbol.asyncDispose]();
	await pool.close();
	for (const process of load) process.kill('SIGKILL');
});

async function lend(count: number): Promise<void> {
	for (let fork = 0; fork < count; fork++) {
		await using vm = await client.fork({ kernel: KERNEL });
		expect((await vm.exec(['echo', String(fork)])).stdout).toBe(`${fork}\n`);
	}
}

/** Of this process and those below it. */
function state() {
	const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
	const qemus = children.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('qemu-system'));
	return { rss: process.memoryUsage.rss() / 2 ** 20, files: readdirSync('/proc/self/fd').length, qemus: qemus.length };
}

describe(`${FORKS} forks under load`, { tags: [FULL], timeout: 900_000 }, () => {
	test.for([1, 4])('%i at a time: all answer, and the memory and files of the pool do not grow', async (atOnce) => {
		const start = state();
		await Promise.all(Array.from({ length: atOnce }, () => lend(FORKS / atOnce)));
		globalThis.gc?.();
		const end = state();
		expect(end.rss - start.rss).toBeLessThan(GROWTH);
		expect(end.files - start.files).toBeLessThan(40); // of a spare or two more
		expect(end.qemus).toBeLessThanOrEqual(4); // the spares
	});

	test('nothing is left when the pool is closed', async () => {
		await pool.close();
		expect(state().qemus).toBe(0);
		runDir().release();
		expect(leftoversOf(process.pid)).toEqual({ directories: [], mounts: [] });
	});
});
