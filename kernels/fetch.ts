/** A kernel's packages, from Debian's archive into a directory of the cache. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from './cache.ts';
import { archiveUri, debianMirrors, suiteNamed } from './debian.ts';
import { makeDirectory } from './disk.ts';
import { download } from './download.ts';
import type { CatalogueEntry, DebianPackage } from './kernel.ts';
import { readLock } from './lock.ts';
import { type Progress, progress as terminal } from './progress.ts';
import { unpackKernel } from './unpack.ts';

/** A part of a download that nobody went on with for so long is given up. */
const PART_AGE_MS = 30 * 24 * 3600 * 1000;

/** Fetches and verifies the packages of `kernel`, and unpacks them into `dir`. Throws stage `fetch` or `unpack`. */
export async function fetchInto(dir: string, kernel: CatalogueEntry, progress: Progress = terminal): Promise<void> {
	const debs = await fetchPackages(kernel, progress);
	await unpackKernel(debs, kernel.release, dir, kernel.tier === 'full');
	for (const deb of debs) rmSync(deb);
}

/** The packages' files, verified, in `CACHE/downloads`: kept by their sums, so that what was interrupted goes on whoever asks. */
async function fetchPackages(kernel: CatalogueEntry, progress: Progress): Promise<string[]> {
	const downloads = join(cacheDir(), 'downloads');
	makeDirectory(downloads);
	dropOldParts(downloads);
	const task = progress.start(
		`linux ${kernel.id}`,
		kernel.packages.reduce((sum, { size }) => sum + size, 0),
	);
	const had = new Map<string, number>();
	const debs: string[] = [];
	try {
		for (const one of kernel.packages) {
			const deb = join(downloads, `${one.sha256}.deb`);
			const uris = await addresses(one);
			await download({ uris, size: one.size, sha256: one.sha256 }, deb, (bytes) => {
				had.set(one.name, bytes);
				task.update([...had.values()].reduce((sum, part) => sum + part, 0));
			});
			debs.push(deb);
		}
	} catch (error) {
		task.failed();
		throw error;
	}
	task.done('fetched and verified');
	return debs;
}

/** Where a package may be: on the mirror; then, where $PATHPROOF_SNAPSHOT names one, in an archive that keeps all. */
async function addresses({ suite, filename }: DebianPackage): Promise<string[]> {
	const base = process.env.PATHPROOF_SNAPSHOT?.replace(/\/+$/, '');
	const mirrored = archiveUri(await debianMirrors(), suite, filename);
	if (!base) return [mirrored];
	// The layout of Debian's own snapshot archive, which answers with the state at or before the given second.
	const archive = suiteNamed(suite).archive === 'security' ? 'debian-security' : 'debian';
	const second = `${readLock().date.replaceAll('-', '')}T235959Z`;
	return [mirrored, `${base}/archive/${archive}/${second}/${filename}`, `${base}/${filename}`];
}

function dropOldParts(downloads: string): void {
	for (const name of readdirSync(downloads)) {
		const path = join(downloads, name);
		const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
		if (mtimeMs !== undefined && Date.now() - mtimeMs > PART_AGE_MS) rmSync(path, { force: true });
	}
}
