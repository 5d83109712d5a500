/**
 * The cache: content-addressed directories, each whole or absent. `CACHE/KIND/KEY/` is renamed into place once it is built;
 * builds, and what is being thrown away, live in `CACHE/tmp/`; run-time sockets in `CACHE/run/`.
 *
 * An entry in use is a shared flock on its own directory, which works on a read-only file system too; whoever evicts
 * takes the exclusive one. A build holds `CACHE/tmp/KIND-KEY.lock`, so a second process waits and then finds the entry.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { allocatedBytes, diskError, flush, flushDirectory, hasCode, makeDirectory } from './disk.ts';
import { discard, type EntryRecord, evict, RECORD, readRecord, sweep } from './evict.ts';
import { type Lock, lock, tryLock } from './flock.ts';
import { type RunDir, runDirIn } from './rundir.ts';

export interface Entry extends Disposable {
	/** absolute path of the directory; its files are not to be changed */
	readonly dir: string;
	/** true: this call made it */
	readonly built: boolean;
	/** Lets eviction have it. May be called more than once; the end of the process releases it too. */
	release(): void;
}

export interface EntryOptions {
	/** kept in the entry's `.entry.json`, for people who look */
	meta?: object;
	/** what a second process is told that it waits for: `kernel 6.12.117` */
	what?: string;
	/** false: not flushed to the disk; a power cut may then leave a torn entry, which its reader must be able to notice */
	durable?: boolean;
}

/** Absolute path of the cache: $PATHPROOF_CACHE, else $XDG_CACHE_HOME/pathproof, else ~/.cache/pathproof. */
export function cacheDir(): string {
	const { PATHPROOF_CACHE, XDG_CACHE_HOME } = process.env;
	return PATHPROOF_CACHE
		? resolve(PATHPROOF_CACHE)
		: join(XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : join(homedir(), '.cache'), 'pathproof');
}

/** 32 hex digits of SHA-256 over the parts as JSON with sorted object keys: equal parts, equal key. */
export function keyOf(...parts: unknown[]): string {
	return createHash('sha256').update(canonical(parts)).digest('hex').slice(0, 32);
}

/** This process's directory for sockets: mode 0700, removed with the process, swept by the next one after a kill -9. */
export function runDir(): RunDir {
	try {
		return runDirIn(cacheDir());
	} catch (error) {
		throw diskError(error, cacheDir());
	}
}

/** The entry if it is there and whole; held until released. */
export function find(kind: string, key: string): Entry | null {
	const dir = join(cacheDir(), kind, key);
	const held = hold(dir);
	return held && toEntry(dir, held, false);
}

/**
 * The entry, built by `build` in a directory of its own where it is not there yet. Two processes that want the same entry:
 * one builds, the other waits. A `build` that throws leaves nothing. Throws stage `setup` on a full or read-only disk.
 */
export async function entry(
	kind: string,
	key: string,
	build: (dir: string) => Promise<void>,
	options: EntryOptions = {},
): Promise<Entry> {
	const here = find(kind, key);
	if (here) return here;
	const cache = cacheDir();
	try {
		using _building = await lockBuild(cache, `${kind}-${key}`, options.what ?? kind);
		return find(kind, key) ?? (await make(cache, kind, key, build, options));
	} catch (error) {
		throw diskError(error, cache);
	}
}

/** Forget an entry, in use or not: for what turned out to be broken. Files that are open stay readable to who opened them. */
export function remove(kind: string, key: string): void {
	const cache = cacheDir();
	try {
		makeDirectory(join(cache, 'tmp'));
		discard(cache, join(cache, kind, key));
	} catch (error) {
		throw diskError(error, cache);
	}
}

/** Build in `CACHE/tmp`, then give it its name. Called with the build lock held. */
async function make(
	cache: string,
	kind: string,
	key: string,
	build: (dir: string) => Promise<void>,
	{ meta, durable = true }: EntryOptions,
): Promise<Entry> {
	const tmp = join(cache, 'tmp', `${kind}-${key}`);
	const dir = join(cache, kind, key);
	rmSync(tmp, { recursive: true, force: true });
	try {
		mkdirSync(tmp);
		await build(tmp);
		const record: EntryRecord = { kind, key, bytes: allocatedBytes(tmp), created: new Date().toISOString(), meta };
		writeFileSync(join(tmp, RECORD), `${JSON.stringify(record, null, '\t')}\n`);
		if (durable) flush(tmp);
		makeDirectory(join(cache, kind));
		// What is still there under this name is not whole, or on its way out: find() has just said so.
		discard(cache, dir);
		// Locked before it has its name, so that eviction never sees it free.
		const held = await lock(tmp, 'shared', { create: false });
		renameSync(tmp, dir);
		if (durable) flushDirectory(join(cache, kind));
		evict(cache);
		return toEntry(dir, held, true);
	} finally {
		rmSync(tmp, { recursive: true, force: true });
	}
}

const swept = new Set<string>();

async function lockBuild(cache: string, name: string, what?: string): Promise<Lock> {
	const tmp = join(cache, 'tmp');
	makeDirectory(tmp);
	if (!swept.has(cache)) sweep(cache);
	swept.add(cache);
	const held = await lock(join(tmp, `${name}.lock`), 'exclusive', { what });
	const release = () => {
		rmSync(held.path, { force: true });
		held.release();
	};
	return { path: held.path, release, [Symbol.dispose]: release };
}

/** A shared lock on a whole entry, its use noted; null where there is none. */
function hold(dir: string): Lock | null {
	let held: Lock | null = null;
	try {
		held = tryLock(dir, 'shared', { create: false });
		if (!held) return null;
		if (!readRecord(dir)) {
			held.release();
			return null;
		}
		const now = new Date();
		utimesSync(dir, now, now);
	} catch (error) {
		if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
		// A cache that cannot be written still serves; only when it was used last is then not known.
		if (!hasCode(error, 'EROFS', 'EACCES', 'EPERM') || !held) throw error;
	}
	return held;
}

function toEntry(dir: string, { release }: Lock, built: boolean): Entry {
	return { dir, built, release, [Symbol.dispose]: release };
}

function canonical(value: unknown): string {
	return JSON.stringify(value, (_key, part) =>
		part !== null && typeof part === 'object' && !Array.isArray(part)
			? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
			: part,
	);
}
