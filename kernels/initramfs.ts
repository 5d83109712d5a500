/**
 * The initramfs of a kernel: its modules, the agent, and the way to the root. Where the kernel has no module and nothing built in
 * to mount a disk with, the whole root is in it.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import declared from '../fixtures/guest-modules.json' with { type: 'json' };
import { type Entry, entry, keyOf } from './cache.ts';
import { device, directory, file, link, withFolders, writeCpio } from './cpio.ts';
import { PathproofError } from './errors.ts';
import { agentFiles, digest, moduleEntries, readBusybox } from './initramfs-content.ts';
import type { Kernel } from './kernel.ts';
import type { AgentPort } from './machine.ts';
import { type ModuleIndex, moduleClosure, moduleIndex } from './modules.ts';
import type { Progress } from './progress.ts';
import { guestRoot, type RootStyle } from './root.ts';
import { compareUpstream } from './versions.ts';

/** One row of `fixtures/guest-modules.json`. */
export interface DeclaredModule {
	name: string;
	/** loaded at boot, and so part of every snapshot; otherwise at hand for modprobe */
	insert: boolean;
	/** the way to a root on disk, and to the agent's port, goes through it */
	boot?: boolean;
	/** e.g. `numdummies=0` */
	parameters?: string;
	why: string;
	/** the series from which on Debian builds it in: asked where the packages bring no modules.builtin (7.2 on) */
	builtin?: string;
	/** the series without it, on Debian's kernels: its absence there is no error, and features tell the tests */
	absent?: { before?: string; from?: string; why: string };
}

export interface InitramfsPlan {
	root: RootStyle;
	agentPort: AgentPort;
	/** paths below `lib/modules/RELEASE`, in order of insertion */
	insert: string[];
	/** by such a path */
	parameters: Record<string, string>;
	/** further modules that are there for modprobe */
	available: string[];
	/** declared modules that this kernel must have and lacks */
	missing: string[];
}

/** What a kernel's initramfs holds. `index` is null where nobody can say: an image-only kernel. */
export function initramfsPlan(
	kernel: Pick<Kernel, 'series' | 'flavour'>,
	index: ModuleIndex | null,
	modules: readonly DeclaredModule[] = declared,
): InitramfsPlan {
	// virtio_pci and virtio_console are built into every image-only kernel of Debian's (6.19 to 7.1): tried by booting them.
	if (!index)
		return { root: 'ram', agentPort: 'virtio-serial', insert: [], parameters: {}, available: [], missing: [] };
	const lacking = new Set(
		moduleClosure(
			index,
			modules.map(({ name }) => name),
		).missing,
	);
	if (index.builtin.size === 0) for (const row of modules) if (since(row.builtin, kernel)) lacking.delete(row.name);
	const has = (...names: string[]) => names.every((name) => !lacking.has(name));
	const there = modules.filter(({ name }) => !lacking.has(name));
	const insert = moduleClosure(
		index,
		there.filter((row) => row.insert).map(({ name }) => name),
	).files;
	const all = moduleClosure(
		index,
		there.map(({ name }) => name),
	).files;
	return {
		root: has('virtio_pci', 'virtio_blk', 'erofs', 'overlay') ? 'disk' : 'ram',
		agentPort: has('virtio_pci', 'virtio_console') ? 'virtio-serial' : 'isa-serial',
		insert,
		parameters: Object.fromEntries(
			there.flatMap(({ name, parameters }) => {
				const path = index.files.get(name);
				return path && parameters ? [[path, parameters]] : [];
			}),
		),
		available: all.filter((path) => !insert.includes(path)),
		missing: modules.filter((row) => lacking.has(row.name) && !excused(row, kernel)).map(({ name }) => name),
	};
}

function excused({ absent }: DeclaredModule, kernel: Pick<Kernel, 'series' | 'flavour'>): boolean {
	// A build tree has what its owner chose: what it lacks, its features say.
	if (kernel.flavour === 'custom') return true;
	return (
		absent !== undefined &&
		(since(absent.from, kernel) || (absent.before !== undefined && !since(absent.before, kernel)))
	);
}

function since(series: string | undefined, kernel: Pick<Kernel, 'series'>): boolean {
	return series !== undefined && compareUpstream(kernel.series, series) >= 0;
}

/** What the initramfs's init calls; Debian's busybox finds its own applets by these names only. */
const APPLETS = ['cp', 'insmod', 'mkdir', 'mount', 'poweroff', 'sh', 'sleep', 'switch_root', 'uname'];

/** Which device the host gives the agent to speak through. */
export function agentPort(kernel: Kernel): AgentPort {
	return initramfsPlan(kernel, moduleIndex(kernel)).agentPort;
}

/** The kernel command line that the initramfs needs. */
export function kernelArguments(kernel: Kernel): string[] {
	return argumentsFor(initramfsPlan(kernel, moduleIndex(kernel)));
}

export function argumentsFor({ root, agentPort }: Pick<InitramfsPlan, 'root' | 'agentPort'>): string[] {
	return [
		'console=ttyS0',
		'quiet',
		'panic=-1', // and QEMU's -no-reboot: a panic ends the guest
		'nokaslr', // one template's addresses are every template's
		'mitigations=off', // an emulated CPU has nothing to mitigate, and TCG pays for each of them
		'no_timer_check', // a busy host delivers the first ticks late, and the kernel would distrust its timer and panic
		'cryptomgr.notests', // a quarter of a boot's instructions (6.12, counted), and what it tests is the CPU
		'tsc=reliable', // a busy host makes the kernel distrust it, and every fork would read a slower clock
		'nowatchdog', // a guest that was not scheduled for 20 s is no lockup
		...(root === 'ram' ? ['rdinit=/pathproof/init'] : []),
		...(agentPort === 'isa-serial' ? ['pathproof.tty=/dev/ttyS1'] : []),
	];
}

export interface GuestFiles {
	initrd: string;
	/** the root's disk; null where the initramfs holds the root */
	root: string | null;
	agentPort: AgentPort;
	/** keys of the initramfs and the root */
	content: string;
}

/** Makes what a guest of this kernel boots from. The entries are held until this process ends. */
export async function guestFiles(kernel: Kernel, progress?: Progress): Promise<GuestFiles> {
	const plan = initramfsPlan(kernel, moduleIndex(kernel));
	const root = await guestRoot(plan.root, progress);
	const { dir } = await initramfs(kernel, root);
	return {
		initrd: join(dir, 'initrd.img'),
		root: plan.root === 'disk' ? join(root.dir, 'root.erofs') : null,
		agentPort: plan.agentPort,
		content: keyOf(basename(root.dir), basename(dir)),
	};
}

/**
 * `DIR/initrd.img`. Not compressed: QEMU loads it faster than TCG unpacks. `root` is packed into it where the plan says so.
 * Throws stage `unpack` where the kernel lacks a module that it should have.
 */
export async function initramfs(kernel: Kernel, root: Entry): Promise<Entry> {
	const plan = initramfsPlan(kernel, moduleIndex(kernel));
	if (plan.missing.length) {
		throw new PathproofError(`neither a module nor built in: ${plan.missing.join(', ')}`, {
			stage: 'unpack',
			kernel: kernel.id,
			hint: `npx pathproof kernels pull ${kernel.id}`,
		});
	}
	const busybox = plan.root === 'disk' ? readBusybox() : null;
	const agent = agentFiles();
	// Without modules the kernel leaves no trace in it: all image-only kernels share one.
	const key = keyOf(
		plan,
		plan.insert.length ? kernel.digest : '',
		agent,
		plan.root === 'ram' && basename(root.dir),
		digest(busybox),
	);
	const build = async (dir: string) => {
		const initrd = join(dir, 'initrd.img');
		const entries = [
			...agent.map(({ path, data, mode }) => file(path, data, mode)),
			...(await moduleEntries(kernel, plan, dir)),
		];
		if (busybox) {
			const places = ['dev', 'proc', 'tmp'].map(directory);
			const applets = APPLETS.map((name) => link(`bin/${name}`, 'busybox'));
			const shell = [file('bin/busybox', busybox, 0o755), ...applets];
			writeCpio(initrd, withFolders([...places, device('dev/console', 5, 1), ...shell, ...entries]));
			return;
		}
		// The kernel unpacks archives one after the other.
		const agentArchive = join(dir, 'agent.cpio');
		writeCpio(agentArchive, withFolders([device('dev/console', 5, 1), ...entries]));
		await copyFile(join(root.dir, 'root.cpio'), initrd);
		await pipeline(createReadStream(agentArchive), createWriteStream(initrd, { flags: 'a' }));
		await rm(agentArchive);
	};
	return entry('initramfs', key, build, {
		what: `the initramfs of ${kernel.id}`,
		meta: { kernel: kernel.id, ...plan },
	});
}
