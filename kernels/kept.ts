/** Forks that outlive their test: the newest ten that failed, saved whole, resumed by `pathproof shell --from NAME`. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closest } from 'fastest-levenshtein';
import { cacheDir } from './cache.ts';
import { PathproofError } from './errors.ts';
import type { Qemu } from './qemu.ts';
import { type Guest, restore, saveWhole } from './template.ts';

const KEPT = 10;
const GUEST = 'guest.json';

export interface Kept {
	guest: Guest;
}

const LONGEST_NAME = 120;

/** The test's name as a directory's: what a shell need not quote. Where it is cut, a hash of the whole tells it from the next. */
export function slug(name: string): string {
	const whole = name.replace(/[^\w.]+/g, '-').replace(/^-|-$/g, '');
	if (whole.length <= LONGEST_NAME) return whole;
	const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
	return `${whole.slice(0, LONGEST_NAME - hash.length - 1)}-${hash}`;
}

/** Saves the fork with all its memory (about 200 MB) and drops the oldest beyond ten. It has its name once it is whole: runs may keep at once. */
export async function keepFork(qemu: Qemu, guest: Guest, name: string): Promise<void> {
	const all = join(cacheDir(), 'kept');
	const dir = join(all, slug(name));
	const partial = join(cacheDir(), 'tmp', `kept-${process.pid}-${slug(name)}`);
	mkdirSync(all, { recursive: true });
	mkdirSync(partial, { recursive: true });
	try {
		await saveWhole(qemu, partial);
		writeFileSync(join(partial, GUEST), JSON.stringify(guest));
		rmSync(dir, { recursive: true, force: true });
		renameSync(partial, dir);
	} finally {
		rmSync(partial, { recursive: true, force: true });
	}
	for (const old of keptNames().slice(KEPT)) rmSync(join(all, old), { recursive: true, force: true });
}

/** Newest first. */
export function keptNames(): string[] {
	const all = join(cacheDir(), 'kept');
	const age = (name: string) => statSync(join(all, name, GUEST), { throwIfNoEntry: false })?.mtimeMs ?? 0;
	try {
		return readdirSync(all).sort((a, b) => age(b) - age(a));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

export async function resumeKept(name: string): Promise<{ qemu: Qemu; guest: Guest }> {
	const names = keptNames();
	if (!names.includes(slug(name))) {
		throw new PathproofError(`no failed test was kept as “${name}”`, {
			stage: 'usage',
			hint: names.length ? `did you mean ${closest(slug(name), names)}?` : 'a test that fails keeps its guest',
		});
	}
	const dir = join(cacheDir(), 'kept', slug(name));
	const guest = JSON.parse(readFileSync(join(dir, GUEST), 'utf8')) as Guest;
	return { qemu: await restore(guest, dir, { kind: 'own' }), guest };
}
