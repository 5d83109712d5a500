/**
 * vitest's globalSetup of a kernel's project, in vitest's main process: one pool for all projects of the run. In watch mode it lives
 * until the watching ends, so a rerun boots nothing.
 */
import { constants } from 'node:os';
import type { TestProject } from 'vitest/node';
import { connectPool } from '../../kernels/client.ts';
import { PathproofError } from '../../kernels/errors.ts';
import { type Pool, startPool } from '../../kernels/pool.ts';
import './provided.ts';

/** Each project evaluates this module anew; the pool is the process's. */
const POOL = Symbol.for('pathproof.pool');

interface SharedPool {
	pool: Promise<Pool>;
	users: number;
}

const here = globalThis as { [POOL]?: SharedPool };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	here[POOL] ??= { pool: startPool().then(endOnSignal), users: 0 };
	const shared = here[POOL];
	shared.users++;
	const pool = await shared.pool;
	project.provide('pathproofPool', pool.socket);
	await makeReady(pool.socket, project);
	return async () => {
		if (--shared.users > 0) return;
		delete here[POOL];
		await pool.close();
	};
}

/** vitest would wait for the test that waits for its guest: a Ctrl-C ends the guests, their files and the run at once. */
function endOnSignal(pool: Pool): Pool {
	for (const signal of ['SIGINT', 'SIGTERM'] as const) {
		process.once(signal, () => void pool.close().finally(() => process.exit(128 + constants.signals[signal])));
	}
	return pool;
}

/** Fetches and boots the kernel before the first test's time runs. */
async function makeReady(socket: string, project: TestProject): Promise<void> {
	const { pathproofKernel } = project.getProvidedContext();
	await using client = await connectPool(socket);
	try {
		await using _vm = await client.fork({ kernel: pathproofKernel.request });
	} catch (error) {
		// Each test of this kernel asks again and is told; those of the others go on.
		if (!(error instanceof PathproofError)) throw error;
	}
}
