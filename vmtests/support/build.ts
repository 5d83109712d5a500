/** BPF objects, compiled on the host and kept in the cache. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { BuildError, bpfKey, buildBpf, buildBpfFile } from '../../bpf/build.ts';
import { entry } from '../../kernels/cache.ts';
import { PathproofError } from '../../kernels/errors.ts';

/** The objects of `bpf/`, by the path that the guest knows them by: `bpf/redirect.bpf.o`. */
export async function bpfObjects(): Promise<Record<string, Uint8Array>> {
	using built = await entry('bpf', await bpfKey(), async (dir) => void (await explained(buildBpf(dir))), {
		what: 'the BPF programs',
	});
	const names = (await readdir(built.dir)).filter((name) => name.endsWith('.bpf.o'));
	return Object.fromEntries(
		await Promise.all(names.map(async (name) => [`bpf/${name}`, await readFile(join(built.dir, name))] as const)),
	);
}

/** A stranger's program, `mine.bpf.c` or an object that is built already; the path is relative to the working directory. */
export async function buildProgram(path: string): Promise<Uint8Array> {
	if (path.endsWith('.o')) return readFile(path);
	const dir = await mkdtemp(join(tmpdir(), 'pathproof-bpf-'));
	try {
		return await readFile(await explained(buildBpfFile(resolve(path), dir)));
	} finally {
		await rm(dir, { recursive: true });
	}
}

export async function explained<T>(building: Promise<T>): Promise<T> {
	try {
		return await building;
	} catch (error) {
		if (!(error instanceof BuildError)) throw error;
		throw new PathproofError(error.message.split('\ntry: ')[0]!, { stage: 'setup', hint: error.hint, cause: error });
	}
}
