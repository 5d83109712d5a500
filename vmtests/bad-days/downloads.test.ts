/** What can go wrong between Debian's archive and the cache, caused for real: a mirror on loopback, real processes, real mounts. */
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { keyOf } from '../../kernels/cache.ts';
import { debianMirrors, defaultSuites } from '../../kernels/debian.ts';
import type { CatalogueEntry } from '../../kernels/kernel.ts';
import { isCached, pullKernel } from '../../kernels/pull.ts';
import { buildPackage, type Mirror, serveMirror } from './mirror.ts';

const ROOT = new URL('../../', import.meta.url);
const AS_ROOT = process.getuid?.() === 0 ? [] : ['--map-root-user'];

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

let scratch: string;
let deb: string;
let kernel: CatalogueEntry;
let mirror: Mirror;
let cache: string;

beforeAll(async () => {
	scratch = realpathSync(mkdtempSync(join(tmpdir(), 'pathproof-downloads-')));
	({ deb, kernel } = await buildPackage(scratch));
	writeFileSync(join(scratch, 'kernel.json'), JSON.stringify(kernel));
});
afterAll(() => rmSync(scratch, { recursive: true }));

beforeEach(async () => {
	mirror = await serveMirror(deb);
	cache = mkdtempSync(join(scratch, 'cache-'));
	vi.stubEnv('PATHPROOF_CACHE', cache);
	vi.stubEnv('PATHPROOF_DEBIAN_MIRROR', mirror.uri);
	vi.stubEnv('PATHPROOF_DEBIAN_SECURITY', `${mirror.uri}-security`);
});
afterEach(async () => {
	vi.unstubAllEnvs();
	await mirror[Symbol.asyncDispose]();
});

/** A program that pulls the kernel and prints `full`, or the stage, exit code and text of its error. */
function pull() {
	const code = `import { pullKernel } from "${new URL('kernels/pull.ts', ROOT)}"; import { readFileSync } from "node:fs";
		const kernel = JSON.parse(readFileSync("${scratch}/kernel.json", "utf8"));
		await pullKernel(kernel).then(({ tier }) => console.log(tier), (error) => console.log(error.stage, error.exitCode, error.message));`;
	return { command: process.execPath, args: ['--input-type=module-typescript', '-e', code] };
}

/** Another process that runs it, `within` a command such as unshare. */
function puller(...within: string[]) {
	const [command, ...args] = [...within, pull().command, ...pull().args];
	return execa(command!, args, { reject: false });
}

const pathproof = (...args: string[]) => execa(process.execPath, ['cli.ts', ...args], { cwd: ROOT, reject: false });
const left = () =>
	['downloads', 'tmp'].flatMap((name) => (existsSync(join(cache, name)) ? readdirSync(join(cache, name)) : []));
const part = () => join(cache, 'downloads', `${kernel.packages[0]!.sha256}.deb.part`);

/** Debian's lists as an update of that day would have left them, in excerpts. */
async function seedLists(fetched: string): Promise<void> {
	const dir = join(cache, 'apt', keyOf(defaultSuites(), await debianMirrors(), 'amd64'));
	mkdirSync(join(dir, 'lists'), { recursive: true });
	for (const name of readdirSync(new URL('fixtures/packages/', ROOT))) {
		const text = readFileSync(new URL(`fixtures/packages/${name}`, ROOT));
		writeFileSync(join(dir, 'lists', `mirror_dists_${name.replace('.txt', '')}_main_binary-amd64_Packages`), text);
	}
	writeFileSync(join(dir, 'updated.json'), JSON.stringify({ fetched, problems: {} }));
}

async function whenFetched(bytes: number): Promise<void> {
	await vi.waitFor(() => expect(statSync(part(), { throwIfNoEntry: false })?.size ?? 0).toBeGreaterThan(bytes), {
		timeout: 8000,
		interval: 20,
	});
}

test('a good day: fetched once, verified, unpacked; nothing else is left', async () => {
	const pulled = await pullKernel(kernel);
	expect(readFileSync(pulled.vmlinuz).length).toBe(2_000_000);
	expect(existsSync(join(pulled.modulesRoot!, 'lib/modules', kernel.release, 'modules.dep'))).toBe(true);
	expect(mirror.requests.map(({ path }) => path)).toEqual([`/debian-security/${kernel.packages[0]!.filename}`]);
	expect(left()).toEqual([]);
});

test('a connection that breaks again and again: each attempt goes on where the last one ended', async () => {
	mirror.day.cutAfter = 700_000;
	await pullKernel(kernel);
	const starts = mirror.requests.map(({ from }) => from);
	expect(starts.length).toBeGreaterThan(2);
	expect(starts).toEqual([...new Set(starts)].sort((a, b) => a - b));
});

test.each(['SIGINT', 'SIGKILL'] as const)('a download interrupted by %s is resumed by the next run', async (signal) => {
	mirror.day.trickle = 50_000;
	const first = puller();
	await whenFetched(200_000);
	first.kill(signal);
	await first;
	expect(isCached(kernel)).toBe(false);
	mirror.day = {};
	await pullKernel(kernel);
	expect(mirror.requests.length).toBe(2);
	expect(mirror.requests[1]!.from).toBeGreaterThan(200_000);
	expect(left()).toEqual([]);
});

test('Ctrl-C on a terminal ends the download at once, and gives the cursor back', async () => {
	mirror.day.trickle = 50_000;
	const { command, args } = pull();
	const quoted = [command, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
	const terminal = execa('script', ['--quiet', '--return', '--command', quoted, '/dev/null'], { reject: false });
	await whenFetched(200_000);
	terminal.stdin.write('\x03');
	const { stdout, exitCode } = await terminal;
	expect(exitCode).toBe(128 + 2);
	expect(stdout).toContain('linux 6.12.999');
	expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR));
	expect(mirror.requests.length).toBe(1);
	expect(statSync(part()).size).toBeLessThan(2_000_000);
});

test('a package altered on its way is fetched again, and taken when it is right', async () => {
	mirror.day.tamper = 1;
	await pullKernel(kernel);
	expect(mirror.requests.map(({ from }) => from)).toEqual([0, 0]);
});

test('a package that is altered each time is refused with both sums, and nothing of it stays', async () => {
	mirror.day.tamper = 99;
	const failed = pullKernel(kernel);
	await expect(failed).rejects.toThrow(new RegExp(`SHA-256 [0-9a-f]{64}, expected ${kernel.packages[0]!.sha256}`));
	await expect(failed).rejects.toMatchObject({ stage: 'fetch', exitCode: 69 });
	expect(isCached(kernel)).toBe(false);
	expect(left()).toEqual([]);
});

test('a bad part of an earlier day is noticed when it is whole, and fetched from the start', async () => {
	mkdirSync(join(cache, 'downloads'), { recursive: true });
	writeFileSync(part(), Buffer.alloc(1_000_000));
	await pullKernel(kernel);
	expect(mirror.requests.map(({ from }) => from)).toEqual([1_000_000, 0]);
});

test('a package that is truncated on the mirror is refused, with both sizes', async () => {
	mirror.day.truncateTo = 1_000_000;
	const failed = pullKernel(kernel);
	await expect(failed).rejects.toThrow(`1000000 bytes, expected ${kernel.packages[0]!.size}`);
	await expect(failed).rejects.toMatchObject({ stage: 'fetch', exitCode: 69 });
	expect(isCached(kernel)).toBe(false);
});

test('a package gone from the mirror: the error names kernels update', async () => {
	mirror.day.lacks = '/pool/';
	const failed = pullKernel(kernel);
	await expect(failed).rejects.toThrow(/404 Not Found.*try: npx pathproof kernels update/s);
	await expect(failed).rejects.toMatchObject({ stage: 'fetch', exitCode: 69 });
});

test('a package gone from the mirror is looked for in the archive of PATHPROOF_SNAPSHOT', async () => {
	mirror.day.lacks = '/debian-security/pool/';
	vi.stubEnv('PATHPROOF_SNAPSHOT', mirror.uri.replace('/debian', ''));
	mirror.day.lacks = '/debian-security/pool';
	const pulled = await pullKernel(kernel);
	expect(pulled.tier).toBe('full');
	expect(mirror.requests.map(({ path }) => path.replace(/pool.*/, ''))).toEqual([
		'/debian-security/',
		expect.stringMatching(/^\/archive\/debian-security\/\d{8}T235959Z\/$/),
	]);
});

test('a mirror that is a directory of this machine is read through apt, and never written', async () => {
	const file = join(scratch, 'file-security', kernel.packages[0]!.filename);
	mkdirSync(dirname(file), { recursive: true });
	copyFileSync(deb, file);
	vi.stubEnv('PATHPROOF_DEBIAN_SECURITY', `file:${scratch}/file-security`);
	mkdirSync(join(cache, 'downloads'), { recursive: true });
	symlinkSync(file, part());
	expect((await pullKernel(kernel)).tier).toBe('full');
	expect(readFileSync(file).equals(readFileSync(deb))).toBe(true);
	expect(left()).toEqual([]);
});

test('two runs that share one cold cache: one fetches, the other waits', async () => {
	mirror.day.trickle = 300_000;
	const [one, two] = await Promise.all([puller(), puller()]);
	expect([one.stdout, two.stdout]).toEqual(['full', 'full']);
	expect(mirror.requests.length).toBe(1);
});

test('a cache on a full disk: the error says which, how much is left, what to do', async () => {
	const { stdout } = await puller(
		'unshare',
		...AS_ROOT,
		'--mount',
		'sh',
		'-ec',
		`mount -t tmpfs -o size=1m tmpfs ${cache}; exec "$@"`,
		'sh',
	);
	expect(stdout).toContain(`setup 69 the disk of the cache is full: ${cache} has `);
	expect(stdout).toContain('try: free some space, or set PATHPROOF_CACHE');
});

test('a read-only cache serves the kernel that is in it, and refuses to fetch another', async () => {
	const readOnly = [
		'unshare',
		...AS_ROOT,
		'--mount',
		'sh',
		'-ec',
		`mount --bind ${cache} ${cache}; mount -o remount,bind,ro ${cache}; exec "$@"`,
		'sh',
	];
	const refused = await puller(...readOnly);
	expect(refused.stdout).toContain(`setup 69 the cache cannot be written, and lacks what is asked for: ${cache}`);
	await pullKernel(kernel);
	const served = await puller(...readOnly);
	expect(served.stdout).toBe('full');
});

test('no network, cold cache: the error says what could not be reached', async () => {
	const { stdout } = await puller('unshare', ...AS_ROOT, '--net');
	expect(stdout).toMatch(
		/^fetch 69 cannot fetch http:\/\/127\.0\.0\.1:\d+\/debian-security\/.*\ntry: look at the network/,
	);
});

test('no network, warm cache: the kernel is served, and every kernel of the last lists is listed, in one line of regret', async () => {
	await pullKernel(kernel);
	const served = await puller('unshare', ...AS_ROOT, '--net');
	expect(served.stdout).toBe('full');

	await seedLists('2026-11-20T00:00:00.000Z');
	const listed = await execa(
		'unshare',
		[...AS_ROOT, '--net', process.execPath, 'cli.ts', 'kernels', 'ls', 'every', '--json'],
		{ cwd: ROOT },
	);
	const document = JSON.parse(listed.stdout) as { kernels: { id: string }[] };
	expect(document.kernels.map(({ id }) => id)).toEqual(expect.arrayContaining(['5.10.259', '6.12.115', '7.3.4']));
	expect(listed.stderr).toMatch(/^Debian's package lists: no network: the lists of 2026-11-20 serve \(.*\)$/);
});

test.each([
	['an unknown series', '6.21', /did you mean 6\.19\?/],
	['an unknown version', '6.12.116', /did you mean 6\.12\.115\?/],
	['a slip of the pen', 'defualt', /did you mean default\?/],
	['a path that is no kernel tree', '/etc', /\/etc is no built kernel tree: looked for \/etc\/arch/],
])('%s: exit 2, and what was meant', async (_what, selector, said) => {
	await seedLists(new Date().toISOString());
	const { exitCode, stderr } = await pathproof('kernels', 'pull', selector);
	expect(exitCode).toBe(2);
	expect(stderr).toMatch(said);
});

test('an unknown version while the lists cannot be had: exit 69, the reason, and what the lock has', async () => {
	const { exitCode, stderr } = await pathproof('kernels', 'pull', '6.12.116');
	expect(exitCode).toBe(69);
	expect(stderr).toMatch(
		/no such kernel: 6\.12\.116 in the lock, and Debian's package lists cannot be had: not on this mirror/,
	);
	expect(stderr).toMatch(/did you mean 6\.12\.\d+\?/);
});
