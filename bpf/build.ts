/** How the BPF programs are built. Knows nothing of who loads them. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where the sources lie. */
export const BPF_SOURCES = import.meta.dirname;

/** bpf_tracing.h's name for the machine, and where Debian keeps its asm/ headers: a BPF target finds neither by itself. */
const MACHINES: Record<string, { target: string; headers: string }> = {
	x64: { target: 'x86', headers: '/usr/include/x86_64-linux-gnu' },
	arm64: { target: 'arm64', headers: '/usr/include/aarch64-linux-gnu' },
};

/** Newest first: Debian installs versioned names beside each other, `clang` may be any of them. */
const COMPILERS = ['clang-21', 'clang-20', 'clang-19', 'clang'];
const MINIMUM_CLANG = 19;

/** What to type after the compiler's name. `-mcpu=v3`: 32-bit jumps and arithmetic, which 5.10 has. */
export function clangArgs(source: string, out: string, arch: string = process.arch): string[] {
	const machine = MACHINES[arch];
	if (!machine) throw new BuildError(`no BPF is built on ${arch}`, `use one of ${Object.keys(MACHINES).join(', ')}`);
	return [
		'-target',
		'bpf',
		`-D__TARGET_ARCH_${machine.target}`,
		'-mcpu=v3',
		'-O2',
		'-g',
		'-Wall',
		'-Werror',
		`-I${join(BPF_SOURCES, 'include')}`,
		`-I${machine.headers}`,
		// without it a path of this machine is in the debug information, and two clones differ
		`-ffile-prefix-map=${BPF_SOURCES}=bpf`,
		'-c',
		source,
		'-o',
		out,
	];
}

/** What to type after `bpftool`: the object again without DWARF, half its size, since it travels into every guest. */
export function linkArgs(whole: string, out: string): string[] {
	return ['gen', 'object', out, whole];
}

/** A program could not be built: what the compiler said, and what to do. */
export class BuildError extends Error {
	override name = 'BuildError';
	readonly hint: string;

	constructor(message: string, hint: string, cause?: unknown) {
		super(`${message}\ntry: ${hint}`, { cause });
		this.hint = hint;
	}
}

/** The sources here: `redirect.bpf.c`, … sorted. */
export async function bpfSources(): Promise<string[]> {
	return (await readdir(BPF_SOURCES)).filter((file) => file.endsWith('.bpf.c')).sort();
}

/** sha256 over the sources, the headers and how they are compiled: the key of a built set. */
export async function bpfKey(): Promise<string> {
	const hash = createHash('sha256');
	const files = (await readdir(BPF_SOURCES, { recursive: true, withFileTypes: true }))
		.filter((file) => file.isFile() && /\.(c|h|ts)$/.test(file.name))
		.map((file) => join(file.parentPath, file.name))
		.sort();
	for (const file of files) hash.update(`${relative(BPF_SOURCES, file)}\0`).update(await readFile(file));
	return hash.update(JSON.stringify([clangArgs('in', 'out'), linkArgs('in', 'out')])).digest('hex');
}

/** Builds all programs into a folder and answers the paths of the objects: `OUT/redirect.bpf.o`. Throws a BuildError. */
export async function buildBpf(outDir: string): Promise<string[]> {
	await mkdir(outDir, { recursive: true });
	const clang = await findClang();
	const sources = await bpfSources();
	return Promise.all(sources.map((source) => compile(clang, join(BPF_SOURCES, source), outDir)));
}

/** One program, ours or a stranger's, into `OUT/STEM.bpf.o`. Throws a BuildError. */
export async function buildBpfFile(source: string, outDir: string): Promise<string> {
	await mkdir(outDir, { recursive: true });
	return compile(await findClang(), source, outDir);
}

async function compile(clang: string, source: string, outDir: string): Promise<string> {
	const out = join(outDir, basename(source).replace(/\.c$/, '.o'));
	const whole = `${out}.whole`;
	try {
		await run(clang, clangArgs(source, whole));
		await run(await findBpftool(), linkArgs(whole, out));
	} catch (error) {
		if (error instanceof BuildError) throw error;
		const said = (error as { stderr?: string }).stderr || String(error);
		throw new BuildError(`${source} does not compile:\n${said}`, 'mend the program, or run `pathproof doctor`', error);
	} finally {
		await rm(whole, { force: true });
	}
	return out;
}

/** Debian's is in /usr/sbin, which is on root's PATH alone. */
async function findBpftool(): Promise<string> {
	for (const name of ['bpftool', '/usr/sbin/bpftool']) {
		try {
			await run(name, ['version']);
			return name;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
		}
	}
	throw new BuildError('no bpftool on the PATH', 'pathproof doctor --fix');
}

export async function findClang(): Promise<string> {
	for (const name of COMPILERS) {
		const version = await clangVersion(name);
		if (version !== null && version >= MINIMUM_CLANG) return name;
	}
	throw new BuildError(`no clang ≥ ${MINIMUM_CLANG} on the PATH`, 'pathproof doctor --fix');
}

/** Its major version; null where there is no such compiler. */
async function clangVersion(name: string): Promise<number | null> {
	try {
		const { stdout } = await run(name, ['--version']);
		return Number(/version (\d+)/.exec(stdout)?.[1] ?? 0);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
		throw error;
	}
}
