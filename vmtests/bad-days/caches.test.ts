/** What can be wrong with the cache that guests start from, and with what stands around it. */
import { cpSync, mkdtempSync, openSync, readdirSync, rmSync, symlinkSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { cacheDir } from '../../kernels/cache.ts';
import { readLock } from '../../kernels/lock.ts';
import { extents } from '../../kernels/sparse.ts';
import { copyRam, ramPath } from '../../kernels/template.ts';
import { Templates } from '../../kernels/templates.ts';
import { FULL } from '../support/config.ts';
import { oldQemu } from '../support/old-qemu.ts';
import { type ChildOptions, KERNEL, start } from './child.ts';

/** What a guest is made of, without the template that it is forked from. */
const INGREDIENTS = ['kernel', 'root', 'initramfs', 'virtme', 'accel'];
const VERSION = readLock().default.find((id) => id.startsWith(`${KERNEL}.`))!;
const BOOTING = `booting linux ${VERSION} (functional, `;
const CORRUPTED = `the snapshot of linux ${VERSION}`;

let dir: string;
beforeEach(() => {
	dir = mkdtempSync(join(tmpdir(), 'cache-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A guest that says its kernel's release and ends. */
async function ask(options: ChildOptions = {}) {
	const { exitCode, stdout, stderr } = await start(['shell', '--kernel', KERNEL, '--lab', 'none'], {
		...options,
		env: { PATHPROOF_CACHE: dir, ...options.env },
		input: 'uname -r\n',
	}).process;
	return { exitCode, release: stdout.trim(), said: stderr };
}

beforeAll(async () => {
	// The real cache is warm from here on.
	expect(await ask({ env: { PATHPROOF_CACHE: cacheDir() } })).toMatchObject({ exitCode: 0 });
});

/** Everything but templates, from the real cache. */
function linkIngredients(): void {
	for (const kind of INGREDIENTS) symlinkSync(join(cacheDir(), kind), join(dir, kind));
}

/** A template of one's own, to be corrupted: a copy of the real one. Answers its directory. */
async function copyTemplate(): Promise<string> {
	linkIngredients();
	const templates = new Templates(() => {});
	const { dir: from, key } = await templates.kernel(VERSION, 'functional');
	const to = join(dir, 'template', key);
	cpSync(from, to, { recursive: true, filter: (path) => path !== ramPath(from) });
	await copyRam(from, to);
	await templates.close();
	return to;
}

const RELEASE = expect.stringMatching(/^6\.12\.\d+\S*-amd64$/);

test('a corrupted snapshot is noticed before a guest runs from it, and made anew', async () => {
	const template = await copyTemplate();
	expect((await ask()).said).not.toContain(BOOTING);

	const ram = openSync(join(template, 'ram'), 'r+');
	const [from, to] = [...extents(ram)].at(-1)!;
	writeSync(ram, 'not what was saved', Math.floor((from + to) / 2));
	expect(await ask()).toEqual({ exitCode: 0, release: RELEASE, said: expect.stringContaining(CORRUPTED) });
	expect((await ask()).said).not.toContain(CORRUPTED);
});

test('a snapshot that was cut short is noticed too', { tags: [FULL] }, async () => {
	truncateSync(join(await copyTemplate(), 'state'), 1_000);
	expect(await ask()).toEqual({ exitCode: 0, release: RELEASE, said: expect.stringContaining(CORRUPTED) });
});

test('two runs that share one cold cache: one boots the kernel, the other waits for it', async () => {
	linkIngredients();
	const answers = await Promise.all([ask(), ask()]);
	expect(answers).toEqual([
		{ exitCode: 0, release: RELEASE, said: expect.any(String) },
		{ exitCode: 0, release: RELEASE, said: expect.any(String) },
	]);
	expect(answers.filter(({ said }) => said.includes(BOOTING))).toHaveLength(1);
});

test("a cache on a full disk: the guest's memory finds no room, and nothing of it stays", async () => {
	execaSync('mount', ['-t', 'tmpfs', '-o', 'size=100M', 'tmpfs', dir]);
	try {
		linkIngredients();
		const { exitCode, said } = await ask();
		expect(said).toMatch(
			/does not fit on the disk of the cache \[setup, linux 6\.12\.\d+, \w+\]\ntry: free some space/,
		);
		expect(exitCode).toBe(69);
		expect(readdirSync(join(dir, 'tmp')).filter((name) => !name.endsWith('.lock'))).toEqual([]);
	} finally {
		execaSync('umount', [dir]);
	}
});

test('a read-only cache serves guests all the same', async () => {
	execaSync('mount', ['--bind', cacheDir(), dir]);
	try {
		execaSync('mount', ['-o', 'remount,bind,ro', dir]);
		expect(await ask()).toEqual({ exitCode: 0, release: RELEASE, said: expect.any(String) });
	} finally {
		execaSync('umount', [dir]);
	}
});

test('no network, warm cache: guests run', async () => {
	const answer = await ask({ env: { PATHPROOF_CACHE: cacheDir() }, under: ['unshare', '--net', '--'] });
	expect(answer).toMatchObject({ exitCode: 0, release: RELEASE });
});

test('QEMU 7.2 first on the PATH is refused, with the reason', async () => {
	const env = { PATHPROOF_CACHE: cacheDir(), PATH: `${await oldQemu()}:${process.env.PATH}` };
	const { exitCode, said } = await ask({ env });
	expect(said).toMatch(
		/is QEMU 7\.2\.\d+: below 10, TCG corrupts the memory of a guest with two CPUs \[setup\]\ntry: npx pathproof doctor --fix/,
	);
	expect(exitCode).toBe(69);
});
