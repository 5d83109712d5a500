/**
 * A kernel that is here: fetched, verified, unpacked into the cache, or read from a build tree. What fetches and unpacks is imported when it
 * is needed: every run of every test comes through here, and finds its kernels in the cache.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir, type Entry, entry, find, keyOf } from './cache.ts';
import { PathproofError } from './errors.ts';
import { RECORD } from './evict.ts';
import type { CatalogueEntry, Kernel } from './kernel.ts';
import { type Lock, readLock } from './lock.ts';
import type { Progress } from './progress.ts';
import { needsCatalogue, parseSelector, resolve, type Term } from './selector.ts';

/** Bumped when an unpacked kernel is laid out in another way. */
const FORMAT = 1;
const KIND = 'kernel';

/** The cache entries of kernels that this process uses, by directory: held to its end, so that none goes while a VM runs it. */
const held = new Map<string, Entry>();

/**
 * The kernels that a selector names: entries of the lock or the catalogue, and build trees as they are. Nothing is fetched but, where
 * the lock does not answer, Debian's package lists. Throws stage `usage` for what nothing is called.
 */
export async function resolveKernels(selector: string): Promise<Array<CatalogueEntry | Kernel>> {
	const lock = readLock();
	const terms = parseSelector(selector);
	const named = needsCatalogue(terms, lock) ? await resolveInCatalogue(terms, lock) : resolve(terms, lock, []);
	return Promise.all(
		named.map(async (found) => {
			if (!('kind' in found)) return found;
			const { kernelFromFiles, kernelFromTree } = await import('./tree.ts');
			return found.kind === 'tree' ? kernelFromTree(found.path) : kernelFromFiles(found.vmlinuz, found.modules);
		}),
	);
}

/** Where the lists cannot be had, that is why a kernel is not known; and yet it may be a slip of the pen: then the lock knows better. */
async function resolveInCatalogue(terms: Term[], lock: Lock): Promise<ReturnType<typeof resolve>> {
	try {
		const { readCatalogue } = await import('./catalogue.ts');
		return resolve(terms, lock, (await readCatalogue()).kernels);
	} catch (error) {
		if (!(error instanceof PathproofError) || error.stage !== 'fetch') throw error;
		const { shortMessage, hint } = unknownToLock(terms, lock) ?? error;
		throw new PathproofError(
			shortMessage === error.shortMessage ? shortMessage : `${shortMessage} in the lock, and ${error.shortMessage}`,
			{
				stage: 'fetch',
				hint,
				cause: error,
			},
		);
	}
}

function unknownToLock(terms: Term[], lock: Lock): PathproofError | null {
	try {
		resolve(terms, lock, []);
		return null;
	} catch (error) {
		if (error instanceof PathproofError) return error;
		throw error;
	}
}

/** The one kernel of that name (an id, a path to a build tree, `VMLINUZ:MODULES`), fetched where it is not here yet. */
export async function getKernel(wanted: string | CatalogueEntry | Kernel): Promise<Kernel> {
	const named = typeof wanted === 'string' ? await resolveKernels(wanted) : [wanted];
	if (named.length !== 1)
		throw new PathproofError(`${wanted} names ${named.length} kernels where one is wanted`, {
			stage: 'usage',
			hint: `one of ${named.map(({ id }) => id).join(' ')}`,
		});
	const [one] = named;
	return 'vmlinuz' in one! ? one : pullKernel(one!);
}

/** True where the kernel need not be fetched. */
export function isCached(kernel: CatalogueEntry): boolean {
	return existsSync(join(cacheDir(), KIND, digestOf(kernel), RECORD));
}

/**
 * Fetches, verifies and unpacks a kernel, unless it is in the cache. Throws stage `fetch` where a package cannot be had or is not what
 * its SHA-256 says, `unpack` where it cannot be read, `setup` on a full or read-only disk.
 */
export async function pullKernel(kernel: CatalogueEntry, progress?: Progress): Promise<Kernel> {
	const key = digestOf(kernel);
	const name = join(cacheDir(), KIND, key);
	const here = held.get(name) ?? find(KIND, key) ?? (await fetchKernel(kernel, key, progress));
	// Two calls at a time may both have found it: one hold is enough.
	if (held.has(name) && held.get(name) !== here) here.release();
	else held.set(name, here);
	return toKernel(kernel, key, here.dir);
}

function fetchKernel(kernel: CatalogueEntry, key: string, progress?: Progress): Promise<Entry> {
	const { id, release, suite, packages } = kernel;
	const build = async (dir: string) => (await import('./fetch.ts')).fetchInto(dir, kernel, progress);
	const meta = { id, release, suite, packages: packages.map(({ filename }) => filename) };
	return entry(KIND, key, build, { what: `kernel ${id}`, meta });
}

function digestOf({ release, packages }: CatalogueEntry): string {
	return keyOf(
		'kernel',
		FORMAT,
		release,
		packages.map(({ sha256 }) => sha256),
	);
}

function toKernel(
	{ id, series, version, release, flavour, tier }: CatalogueEntry,
	digest: string,
	dir: string,
): Kernel {
	const modulesRoot = tier === 'full' ? dir : null;
	return { id, series, version, release, flavour, tier, vmlinuz: join(dir, 'vmlinuz'), modulesRoot, digest };
}
