import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lock, owners, tryLock } from './flock.ts';

let dir: string;
let path: string;
beforeEach(() => {
	dir = mkdtempSync(join(tmpdir(), 'pathproof-flock-'));
	path = join(dir, 'lock');
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A process that holds the lock until it is killed. */
async function holder() {
	const module = new URL('./flock.ts', import.meta.url);
	const code = `import { tryLock } from '${module}'; tryLock('${path}', 'exclusive'); console.log('held'); setInterval(() => {}, 1000);`;
	const child = execa(process.execPath, ['--input-type=module-typescript', '-e', code], { reject: false });
	await once(child.stdout, 'data');
	return { child };
}

test('one exclusive lock, many shared ones', () => {
	using first = tryLock(path, 'shared');
	using second = tryLock(path, 'shared');
	expect([first, second]).not.toContain(null);
	expect(tryLock(path, 'exclusive')).toBeNull();
});

test('what is released can be had again', () => {
	const first = tryLock(path, 'exclusive')!;
	expect(tryLock(path, 'shared')).toBeNull();
	first.release();
	first.release();
	using second = tryLock(path, 'exclusive');
	expect(second).not.toBeNull();
});

test('a lock whose file was removed guards nothing, and is not taken', async () => {
	using first = tryLock(path, 'exclusive');
	const waiting = lock(path, 'exclusive');
	rmSync(path);
	using second = await waiting;
	expect(first).not.toBeNull();
	expect(existsSync(second.path)).toBe(true);
});

test('a directory can be locked', () => {
	using held = tryLock(dir, 'shared', { create: false });
	expect(held).not.toBeNull();
	expect(tryLock(dir, 'exclusive', { create: false })).toBeNull();
});

test('who waits is told for whom, and goes on when that one is killed with -9', async () => {
	const { child } = await holder();
	expect(owners(path)).toEqual([child.pid]);
	expect(await lock(path, 'exclusive', { wait: false })).toBeNull();
	const said: string[] = [];
	const waiting = lock(path, 'exclusive', {
		what: 'kernel 6.12.117',
		onWait: (message) => {
			said.push(message);
			child.kill('SIGKILL');
		},
	});
	using held = await waiting;
	expect(held.path).toBe(path);
	expect(said).toEqual([`waiting for another pathproof (pid ${child.pid}) to finish kernel 6.12.117 …`]);
	await child;
}, 15_000);
