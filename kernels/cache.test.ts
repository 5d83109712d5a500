import { once } from 'node:events';
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	rmSync,
	statSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cacheDir, entry, find, keyOf, remove, runDir } from './cache.ts';
import { evict } from './evict.ts';

let cache: string;
beforeEach(() => {
	cache = mkdtempSync(join(tmpdir(), 'pathproof-cache-'));
	vi.stubEnv('PATHPROOF_CACHE', cache);
});
afterEach(() => {
	vi.unstubAllEnvs();
	rmSync(cache, { recursive: true, force: true });
});

const MODULE = new URL('./cache.ts', import.meta.url);
const AS_ROOT = process.getuid?.() === 0 ? [] : ['--map-root-user'];

/** Another process that runs `code` with the cache's functions; `mount`: a shell command run before it, in a mount namespace of its own. */
function child(code: string, { mount, env }: { mount?: string; env?: Record<string, string> } = {}) {
	const program = `import { entry, find, runDir } from '${MODULE}'; ${code}`;
	const node = [process.execPath, '--input-type=module-typescript', '-e', program];
	const argv = mount ? ['unshare', ...AS_ROOT, '--mount', 'sh', '-ec', `${mount}; exec "$@"`, 'sh', ...node] : node;
	return execa(argv[0]!, argv.slice(1), { reject: false, env: { PATHPROOF_CACHE: cache, ...env } });
}

const fill = (bytes: number) => async (dir: string) => writeFileSync(join(dir, 'data'), Buffer.alloc(bytes, 1));
const left = () => readdirSync(join(cache, 'tmp'));

describe('keys', () => {
	test('are equal for equal parts, whatever the order of their fields', () => {
		expect(keyOf({ a: 1, b: [2, { c: 3, d: 4 }] })).toBe(keyOf({ b: [2, { d: 4, c: 3 }], a: 1 }));
		expect(keyOf('a', 'b')).not.toBe(keyOf('ab'));
		expect(keyOf('a')).toMatch(/^[0-9a-f]{32}$/);
	});

	test('the cache is where PATHPROOF_CACHE says, else below XDG_CACHE_HOME, else below ~/.cache', () => {
		expect(cacheDir()).toBe(cache);
		vi.stubEnv('PATHPROOF_CACHE', undefined);
		vi.stubEnv('XDG_CACHE_HOME', '/xdg');
		expect(cacheDir()).toBe('/xdg/pathproof');
		vi.stubEnv('XDG_CACHE_HOME', undefined);
		expect(cacheDir()).toMatch(/\/\.cache\/pathproof$/);
	});
});

describe('an entry', () => {
	test('is built once, and found after', async () => {
		using made = await entry('demo', 'k', fill(10), { meta: { for: 'a test' } });
		using again = await entry('demo', 'k', () => Promise.reject(new Error('built twice')));
		expect([made.built, again.built]).toEqual([true, false]);
		expect(again.dir).toBe(join(cache, 'demo', 'k'));
		expect(left()).toEqual([]);
	});

	test('whose build fails is not there, and leaves nothing', async () => {
		await expect(entry('demo', 'k', () => Promise.reject(new Error('no luck')))).rejects.toThrow('no luck');
		expect(find('demo', 'k')).toBeNull();
		expect(left()).toEqual([]);
		using made = await entry('demo', 'k', fill(1));
		expect(made.built).toBe(true);
	});

	test('that is removed is gone, and can be made anew', async () => {
		(await entry('demo', 'k', fill(1))).release();
		remove('demo', 'k');
		remove('demo', 'k');
		expect(find('demo', 'k')).toBeNull();
		using made = await entry('demo', 'k', fill(1));
		expect(made.built).toBe(true);
	});

	test('that is not whole is none', async () => {
		mkdirSync(join(cache, 'demo/k'), { recursive: true });
		writeFileSync(join(cache, 'demo/k/.entry.json'), '{"ki');
		expect(find('demo', 'k')).toBeNull();
		using made = await entry('demo', 'k', fill(1));
		expect(made.built).toBe(true);
	});

	test('counts what it holds on the disk, not its holes', async () => {
		using _sparse = await entry('demo', 'k', async (dir) => {
			writeFileSync(join(dir, 'ram'), 'x');
			truncateSync(join(dir, 'ram'), 1e9);
		});
		(await entry('demo', 'full', fill(100_000))).release();
		evict(cache, 1e6);
		expect(find('demo', 'full')).not.toBeNull();
	});
});

describe('two processes', () => {
	const BUILD = `const made = await entry('demo', 'k', async () => { console.log('building'); await new Promise((done) => setTimeout(done, 400)); });
		console.log(made.built);`;

	test('that want the same entry at once: one builds, the other waits', async () => {
		const [one, two] = await Promise.all([child(BUILD), child(BUILD)]);
		expect([one.stdout, two.stdout].sort()).toEqual(['building\ntrue', 'false']);
		expect([one.stderr, two.stderr]).toEqual(['', '']);
	});

	test('one killed with -9 in the middle: the next builds it, and sweeps what was left', async () => {
		const dying =
			child(`await entry('demo', 'k', async (dir) => { (await import('node:fs')).writeFileSync(dir + '/half', 'x');
			console.log('half'); await new Promise((done) => setTimeout(done, 60_000)); });`);
		await once(dying.stdout, 'data');
		dying.kill('SIGKILL');
		await dying;
		expect(left().sort()).toEqual(['demo-k', 'demo-k.lock']);
		const next = await child(
			`const other = await entry('demo', 'other', async () => {}); console.log(find('demo', 'k'));`,
		);
		expect(next.stdout).toBe('null');
		expect(left()).toEqual([]);
	});
});

describe('eviction', () => {
	const aged = async (kind: string, key: string, secondsAgo: number) => {
		const made = await entry(kind, key, fill(100_000));
		const used = Date.now() / 1000 - secondsAgo;
		utimesSync(made.dir, used, used);
		return made;
	};
	const present = (...names: string[]) => names.filter((name) => existsSync(join(cache, name)));

	test('takes what was used longest ago, labs first, and nothing that is in use', async () => {
		const inUse = await aged('kernel', 'in-use', 900);
		for (const made of [
			await aged('kernel', 'old', 800),
			await aged('lab', 'lab', 10),
			await aged('kernel', 'new', 20),
		])
			made.release();
		evict(cache, 350_000);
		expect(present('kernel/in-use', 'kernel/old', 'lab/lab', 'kernel/new')).toEqual([
			'kernel/in-use',
			'kernel/old',
			'kernel/new',
		]);
		evict(cache, 250_000);
		expect(present('kernel/in-use', 'kernel/old', 'kernel/new')).toEqual(['kernel/in-use', 'kernel/new']);
		inUse.release();
		find('kernel', 'in-use')!.release();
		evict(cache, 150_000);
		expect(present('kernel/in-use', 'kernel/new')).toEqual(['kernel/in-use']);
	});

	test('happens when something is built beyond PATHPROOF_CACHE_MAX', async () => {
		vi.stubEnv('PATHPROOF_CACHE_MAX', '200K');
		(await aged('kernel', 'old', 800)).release();
		using _new = await entry('kernel', 'new', fill(150_000));
		expect(present('kernel/old', 'kernel/new')).toEqual(['kernel/new']);
	});

	test('a limit that is no size is a wrong call', async () => {
		vi.stubEnv('PATHPROOF_CACHE_MAX', 'lots');
		await expect(entry('kernel', 'new', fill(1))).rejects.toMatchObject({ stage: 'usage', exitCode: 2 });
	});
});

describe('a bad disk', () => {
	const REPORT = `.then((made) => console.log('built', made.built), (error) => console.log(error.stage, error.exitCode, error.message));`;

	test('that is full: the error says where, how much is left, what to do; nothing stays', async () => {
		const code = `await entry('demo', 'k', async (dir) => (await import('node:fs')).writeFileSync(dir + '/big', Buffer.alloc(4e6)))${REPORT}
			console.log((await import('node:fs')).readdirSync('${cache}/tmp').length);`;
		const { stdout } = await child(code, { mount: `mount -t tmpfs -o size=1m tmpfs ${cache}` });
		expect(stdout).toContain(`setup 69 the disk of the cache is full: ${cache} has `);
		expect(stdout).toContain('PATHPROOF_CACHE to a directory on a larger disk');
		expect(stdout).toMatch(/\n0$/);
	});

	test('that is full to a tool of the build: the same error, from its stderr', async () => {
		const code = `const { execa } = await import('${import.meta.resolve('execa')}');
			await entry('demo', 'k', async (dir) => { await execa('dd', ['if=/dev/zero', 'of=' + dir + '/big', 'bs=1M', 'count=4']); })${REPORT}`;
		const { stdout } = await child(code, { mount: `mount -t tmpfs -o size=1m tmpfs ${cache}` });
		expect(stdout).toContain('setup 69 the disk of the cache is full');
	});

	test('that is read-only still serves what is there, and says what it cannot do', async () => {
		(await entry('demo', 'there', fill(10))).release();
		const code = `await entry('demo', 'there', async () => {})${REPORT} await entry('demo', 'absent', async () => {})${REPORT}`;
		const { stdout } = await child(code, {
			mount: `mount --bind ${cache} ${cache}; mount -o remount,bind,ro ${cache}`,
		});
		const [first, second] = stdout.split('\n');
		expect(first).toBe('built false');
		expect(second).toContain(`setup 69 the cache cannot be written, and lacks what is asked for: ${cache}`);
	});
});

describe("a process's own directory", () => {
	test('is private, short, the same at each call, and gone when it ends', async () => {
		using own = runDir();
		expect(runDir().dir).toBe(own.dir);
		expect(statSync(own.dir).mode & 0o777).toBe(0o700);
		expect(own.dir.length).toBeLessThan(60);
		const { stdout } = await child('console.log(runDir().dir)');
		expect(stdout).toContain('/run/');
		expect(existsSync(stdout)).toBe(false);
	});

	test('of one killed with -9 is swept by the next, that of a live one is not', async () => {
		using own = runDir();
		const dying = child(`console.log(runDir().dir); setInterval(() => {}, 1000);`);
		const [said] = await once(dying.stdout, 'data');
		const dead = String(said).trim();
		dying.kill('SIGKILL');
		await dying;
		const past = Date.now() / 1000 - 60;
		for (const dir of [dead, own.dir]) utimesSync(dir, past, past);
		await child('runDir()');
		expect([existsSync(dead), existsSync(own.dir)]).toEqual([false, true]);
	});

	test('is elsewhere where the cache is read-only or its path too long for a socket', async () => {
		const readOnly = await child('console.log(runDir().dir)', {
			mount: `mount --bind ${cache} ${cache}; mount -o remount,bind,ro ${cache}`,
		});
		expect(readOnly.stdout).toContain('/pathproof-run-');
		const long = await child('console.log(runDir().dir)', { env: { PATHPROOF_CACHE: join(cache, 'x'.repeat(80)) } });
		expect(long.stdout).toContain('/pathproof-run-');
		expect(existsSync(long.stdout)).toBe(false);
		expect(long.stdout).toMatch(/^\/\S+\/\d+-\w{6}$/);
	});
});
