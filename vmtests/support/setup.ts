/**
 * vitest's globalSetup of a kernel's project, in vitest's main process: one pool for all projects of the run. In watch mode it lives
 * until the watching ends, so a rerun boots nothing.
 */
import type { TestProject } from 'vitest/node';
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
	here[POOL] ??= { pool: startPool(), users: 0 };
	const shared = here[POOL];
	shared.users++;
	const pool = await shared.pool;
	project.provide('pathproofPool', pool.socket);
	return async () => {
		if (--shared.users > 0) return;
		delete here[POOL];
		await pool.close();
	};
}
