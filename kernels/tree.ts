/** Kernels that are no package of Debian's: a build tree, or the image and modules of any distribution. */
import { createHash } from 'node:crypto';
import {
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	statSync,
	symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { type Entry, entry, keyOf } from './cache.ts';
import { PathproofError } from './errors.ts';
import { checkConfig, isBuiltIn, isSet } from './kconfig.ts';
import type { Kernel, Tier } from './kernel.ts';
import { indexModules, modulesDir } from './unpack.ts';
import { seriesOf } from './versions.ts';

/** Where a built tree has its image, by Node's name of the architecture. */
const IMAGES: Record<string, string> = { x64: 'arch/x86/boot/bzImage', arm64: 'arch/arm64/boot/Image' };
const RELEASE_FILE = 'include/config/kernel.release';
/** What `make modules_install` copies beside the modules; depmod reads it. */
const INDEXES = ['modules.order', 'modules.builtin', 'modules.builtin.modinfo'];

/** The entries of module trees that this process uses: held to its end. */
const held: Entry[] = [];

/** A built kernel tree, as `virtme-run --kdir` takes it. Throws stage `usage`, naming what was looked for, where it is none. */
export async function kernelFromTree(path: string): Promise<Kernel> {
	const kdir = expand(path);
	const vmlinuz = join(kdir, IMAGES[process.arch] ?? IMAGES.x64!);
	const lacking = [vmlinuz, join(kdir, RELEASE_FILE)].filter((file) => !existsSync(file));
	if (lacking.length > 0) throw noTree(kdir, lacking);
	const release = readFileSync(join(kdir, RELEASE_FILE), 'utf8').trim();
	const built = imageRelease(vmlinuz);
	if (built && built !== release)
		throw new PathproofError(`${kdir} is half built: its image is ${built}, its tree ${release}`, {
			stage: 'usage',
			hint: `make -C ${kdir} -j$(nproc)`,
		});
	const config = configOf(join(kdir, '.config'));
	const modules = treeModules(kdir);
	const modulesRoot = modules.length > 0 ? await linkModules(kdir, release, modules) : null;
	const tier = tierOf(modulesRoot !== null, config);
	return {
		...custom(kdir, release),
		tier,
		vmlinuz,
		modulesRoot,
		digest: digestOf(vmlinuz, modules),
		kdir,
		...config,
		selector: kdir,
	};
}

/**
 * Any distribution's kernel: its image, and the directory of its modules, or one that has `lib/modules/RELEASE`; none where `modules` is
 * empty. Throws stage `usage`.
 */
export async function kernelFromFiles(image: string, modules: string): Promise<Kernel> {
	const vmlinuz = expand(image);
	const release = existsSync(vmlinuz) && statSync(vmlinuz).isFile() ? imageRelease(vmlinuz) : null;
	if (!release)
		throw new PathproofError(`${vmlinuz} is no kernel image: looked for a bzImage, as /boot/vmlinuz-… is one`, {
			stage: 'usage',
			hint: 'VMLINUZ:MODULES, e.g. /boot/vmlinuz-6.12.0:/lib/modules/6.12.0',
		});
	const config = configOf(join(dirname(vmlinuz), basename(vmlinuz).replace('vmlinuz', 'config')));
	const found = modules ? findModules(expand(modules), release) : null;
	const files = found
		? [join(found, 'modules.builtin'), join(found, 'modules.order')].filter((file) => existsSync(file))
		: [];
	const modulesRoot = found ? await linkDirectory(found, release) : null;
	const tier = tierOf(modulesRoot !== null, config);
	const selector = `${vmlinuz}:${modules && expand(modules)}`;
	const digest = digestOf(vmlinuz, files);
	return { ...custom(vmlinuz, release), tier, vmlinuz, modulesRoot, digest, ...config, selector };
}

/** What `uname -r` will say, from the header of a bzImage (Documentation/arch/x86/boot.rst, kernel_version); null where there is none. */
export function imageRelease(path: string): string | null {
	const header = Buffer.alloc(0x8000);
	const fd = openSync(path, 'r');
	try {
		readSync(fd, header, 0, header.length, 0);
	} finally {
		closeSync(fd);
	}
	if (header.toString('latin1', 0x202, 0x206) !== 'HdrS') return null;
	const at = header.readUInt16LE(0x20e) + 0x200;
	return /^\S+/.exec(header.toString('latin1', at, header.indexOf(0, at)))?.[0] ?? null;
}

/** The modules of a tree, absolute paths, as its modules.order lists them: `.ko` before 6.2, `.o` since, with `kernel/` before or not. */
function treeModules(kdir: string): string[] {
	const order = join(kdir, 'modules.order');
	if (!existsSync(order)) return [];
	return readFileSync(order, 'utf8')
		.split('\n')
		.filter(Boolean)
		.map((line) => line.replace(/\.o$/, '.ko'))
		.map((line) =>
			[line, line.replace(/^kernel\//, '')].map((name) => join(kdir, name)).find((file) => existsSync(file)),
		)
		.filter((file) => file !== undefined);
}

/** A root with `lib/modules/RELEASE` whose modules are links into the tree, as virtme-prep-kdir-mods makes it, but not in the tree. */
async function linkModules(kdir: string, release: string, modules: string[]): Promise<string> {
	return hold(keyOf('tree', release, kdir, stamps(modules)), release, (to) => {
		for (const module of modules) {
			const link = join(to, 'kernel', module.slice(kdir.length + 1));
			mkdirSync(dirname(link), { recursive: true });
			symlinkSync(module, link);
		}
		for (const index of INDEXES.filter((name) => existsSync(join(kdir, name))))
			symlinkSync(join(kdir, index), join(to, index));
	});
}

/** The same for a directory of modules that is somewhere else than kmod looks. */
async function linkDirectory(modules: string, release: string): Promise<string> {
	const names = readdirSync(modules);
	return hold(keyOf('files', release, modules, stamps(names.map((name) => join(modules, name)))), release, (to) => {
		for (const name of names) symlinkSync(join(modules, name), join(to, name));
	});
}

async function hold(key: string, release: string, fill: (to: string) => void): Promise<string> {
	const root = await entry('modules', key, async (dir) => {
		mkdirSync(modulesDir(dir, release), { recursive: true });
		symlinkSync('usr/lib', join(dir, 'lib'));
		fill(modulesDir(dir, release));
		await indexModules(dir, release);
	});
	held.push(root);
	return root.dir;
}

function findModules(given: string, release: string): string {
	const places = [
		given,
		join(given, release),
		join(given, 'lib/modules', release),
		join(given, 'usr/lib/modules', release),
	];
	const found = places.find((place) =>
		['kernel', 'modules.dep', 'modules.builtin'].some((name) => existsSync(join(place, name))),
	);
	if (found) return found;
	throw new PathproofError(`no modules of ${release}: looked in ${places.join(', ')}`, {
		stage: 'usage',
		hint: 'VMLINUZ:MODULES, e.g. /boot/vmlinuz-6.12.0:/lib/modules/6.12.0; nothing after the colon where there are none',
	});
}

/** The configuration a kernel was built with, where it lies. Throws stage `usage` where it cannot become a guest. */
function configOf(path: string): Pick<Kernel, 'config'> {
	checkConfig(path);
	return existsSync(path) ? { config: path } : {};
}

/** The wire is what tells them apart: veth is what a full kernel has beyond netkit. Where no configuration says, modules speak. */
function tierOf(hasModules: boolean, { config }: Pick<Kernel, 'config'>): Tier {
	const isThere = hasModules ? isSet : isBuiltIn;
	const hasVeth = config ? isThere(readFileSync(config, 'utf8'), 'CONFIG_VETH') : hasModules;
	return hasVeth ? 'full' : 'image';
}

function custom(path: string, release: string): Pick<Kernel, 'id' | 'series' | 'version' | 'release' | 'flavour'> {
	const version = /^\d+\.\d+(?:\.\d+)?(?:-rc\d+)?/.exec(release)?.[0] ?? release;
	// The name of the directory tells two builds of one release apart; the id becomes part of project and file names.
	const id = `${release}-${basename(path)}`.replace(/[^\w.+-]/g, '_');
	return { id, series: seriesOf(version), version, release, flavour: 'custom' };
}

/** Wherever it lies: a kernel that was moved is the same. */
function digestOf(vmlinuz: string, modules: string[]): string {
	const placeless = stamps(modules).map(([file, ...stamp]) => [basename(file), ...stamp]);
	return keyOf('custom', createHash('sha256').update(readFileSync(vmlinuz)).digest('hex'), placeless);
}

function stamps(files: string[]): [string, number, number][] {
	return files.map((file) => {
		const { size, mtimeMs } = statSync(file);
		return [file, size, mtimeMs];
	});
}

function expand(path: string): string {
	return resolve(path.replace(/^~(?=\/|$)/, homedir()));
}

function noTree(kdir: string, lacking: string[]): PathproofError {
	const isSource = existsSync(join(kdir, 'Kconfig'));
	return new PathproofError(`${kdir} is no built kernel tree: looked for ${lacking.join(' and ')}`, {
		stage: 'usage',
		hint: isSource
			? `make -C ${kdir} -j$(nproc)`
			: 'give the directory in which a kernel was built, or VMLINUZ:MODULES, or a version: npx pathproof kernels ls',
	});
}
