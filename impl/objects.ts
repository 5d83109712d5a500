/** Where the built BPF objects are: PATHPROOF_BPF, else beside their sources, else in the cache, where they are built on first use. */
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { DatapathError } from './errors.ts';

const BESIDE_SOURCES = join(import.meta.dirname, '../bpf');

let built: string | null = null;

/** `name` without a suffix: `redirect` is `redirect.bpf.o`. Those in the cache are known once `ensureObjects` has been awaited. */
export function bpfObjectPath(name: string): string {
	return join(process.env.PATHPROOF_BPF ?? built ?? BESIDE_SOURCES, `${name}.bpf.o`);
}

/** Builds them where there are none, which takes some seconds and clang. Throws a DatapathError (`lacking`). */
export async function ensureObjects(): Promise<void> {
	if (process.env.PATHPROOF_BPF || built || existsSync(join(BESIDE_SOURCES, 'redirect.bpf.o'))) return;
	// Not imported above: where there are objects, the sources need not be.
	const { BuildError, bpfKey, buildBpf } = await import('../bpf/build.ts');
	const all = join(cacheDir(), 'net');
	const folder = join(all, await bpfKey());
	if (!existsSync(folder)) {
		const unfinished = `${folder}.${process.pid}`;
		try {
			await buildBpf(unfinished);
			await rename(unfinished, folder);
		} catch (error) {
			await rm(unfinished, { recursive: true, force: true });
			// another process was faster
			if (!existsSync(folder)) {
				if (!(error instanceof BuildError)) throw error;
				const [message] = error.message.split('\ntry: ');
				throw new DatapathError(message!, { lacking: true, hint: error.hint, cause: error });
			}
		}
		// those of other versions: bounded, since nobody else counts them
		for (const other of await readdir(all)) {
			if (!join(all, other).startsWith(folder) && !isBeingBuilt(other))
				await rm(join(all, other), { recursive: true, force: true });
		}
	}
	built = folder;
}

/** By another version, at this moment: `KEY.PID`. */
function isBeingBuilt(folder: string): boolean {
	const pid = /\.(\d+)$/.exec(folder)?.[1];
	return pid !== undefined && existsSync(`/proc/${pid}`);
}

/** The same folder that kernels/cache.ts uses: $PATHPROOF_CACHE, else $XDG_CACHE_HOME/pathproof, else ~/.cache/pathproof. */
function cacheDir(): string {
	const { PATHPROOF_CACHE, XDG_CACHE_HOME } = process.env;
	return (
		PATHPROOF_CACHE ?? join(XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : join(homedir(), '.cache'), 'pathproof')
	);
}
