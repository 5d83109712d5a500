/** What goes into an initramfs, read from where it is: the agent's program, a kernel's modules, busybox. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { execa } from 'execa';
import { type CpioEntry, file } from './cpio.ts';
import { isStatic } from './elf.ts';
import { PathproofError } from './errors.ts';
import type { InitramfsPlan } from './initramfs.ts';
import type { Kernel } from './kernel.ts';
import { modulesFolder } from './modules.ts';

export interface AgentFile {
	/** in the guest, without a leading slash */
	path: string;
	data: string;
	mode: number;
}

/** Where each file of the agent lies in the guest; TypeScript in the tree's own places, so that imports hold. */
export function agentFiles(): AgentFile[] {
	const here = import.meta.dirname;
	const modules = ['errors.ts', 'channel.ts', ...readdirSync(join(here, 'agent')).map((name) => `agent/${name}`)];
	const scripts: Record<string, string> = { 'agent/mount-root.sh': 'init', 'agent/init.sh': 'pathproof/init' };
	return modules
		.filter((name) => !name.endsWith('.test.ts'))
		.sort()
		.map((name) => {
			const text = readFileSync(join(here, name), 'utf8');
			return name.endsWith('.sh')
				? { path: scripts[name]!, data: text, mode: 0o755 }
				: { path: `pathproof/kernels/${name}`, data: name.endsWith('.ts') ? stripTypes(text) : text, mode: 0o644 };
		});
}

/** TypeScript to the JavaScript that Node would make of it, for the guest, which should not have to. */
export function stripTypes(text: string): string {
	const { emitWarning } = process;
	// It warns of being experimental, once per process: not the user's concern, and Node is pinned.
	process.emitWarning = () => {};
	try {
		return stripTypeScriptTypes(text, { mode: 'strip' });
	} finally {
		process.emitWarning = emitWarning;
	}
}

/** The host's busybox; static, because nothing else is in an initramfs. */
export function readBusybox(): Buffer {
	const path = ['/usr/bin/busybox', '/bin/busybox'].find((candidate) => existsSync(candidate));
	const program = path && readFileSync(path);
	if (program && isStatic(program)) return program;
	throw new PathproofError(
		program ? `${path} needs shared libraries, and an initramfs has none` : 'busybox-static is not installed',
		{ stage: 'setup', hint: 'npx pathproof doctor --fix' },
	);
}

export function digest(bytes: Uint8Array | null): string {
	return bytes ? createHash('sha256').update(bytes).digest('hex') : '';
}

/** How to unpack a module: busybox's insmod does not. */
const UNPACK: Record<string, (bytes: Buffer) => Promise<Uint8Array> | Uint8Array> = {
	'.ko': (bytes) => bytes,
	'.ko.gz': (bytes) => gunzipSync(bytes),
	'.ko.zst': (bytes) => zstdDecompressSync(bytes),
	'.ko.xz': async (bytes) => (await execa('xz', ['-dc'], { input: bytes, encoding: 'buffer' })).stdout,
};

/** The modules, unpacked, with the index that modprobe reads, and `modules`: what to insert in which order. */
export async function moduleEntries(
	kernel: Kernel,
	{ insert, parameters, available }: InitramfsPlan,
	dir: string,
): Promise<CpioEntry[]> {
	const order = file('modules', insert.map((path) => `${plainName(path)} ${parameters[path] ?? ''}\n`).join(''));
	const from = modulesFolder(kernel);
	if (!from) return [order];
	const staged = join(dir, 'modules');
	const to = join(staged, 'lib/modules', kernel.release);
	const paths = [...insert, ...available];
	for (const path of paths) {
		const unpack = UNPACK[path.slice(path.indexOf('.ko'))];
		if (!unpack) throw new PathproofError(`no way to unpack ${path}`, { stage: 'unpack', kernel: kernel.id });
		await mkdir(dirname(join(to, path)), { recursive: true });
		await writeFile(join(to, plainName(path)), await unpack(await readFile(join(from, path))));
	}
	for (const name of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo']) {
		if (existsSync(join(from, name))) await cp(join(from, name), join(to, name));
	}
	await execa('depmod', ['-b', staged, kernel.release], { env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
	const index = readdirSync(to).filter((name) => name.startsWith('modules.'));
	const entries = [...paths.map(plainName), ...index].map((name) =>
		file(`lib/modules/${kernel.release}/${name}`, readFileSync(join(to, name))),
	);
	await rm(staged, { recursive: true });
	return [order, ...entries];
}

function plainName(path: string): string {
	return path.slice(0, path.indexOf('.ko') + '.ko'.length);
}
