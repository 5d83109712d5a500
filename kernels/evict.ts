/** Keeps the cache below its limit, and throws away what dead processes left half made. */
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, hasCode } from './disk.ts';
import { PathproofError } from './errors.ts';
import { tryLock } from './flock.ts';

/** What is known of an entry beside its files. */
export interface EntryRecord {
	kind: string;
	key: string;
	/** allocated bytes: sparse files count for what they hold */
	bytes: number;
	/** ISO 8601 */
	created: string;
	meta?: object;
}

/** Written last, so that a directory that has it is whole. */
export const RECORD = '.entry.json';

/** Folders of the cache that hold no entries. */
const NO_ENTRIES = new Set(['tmp', 'run']);
/** Quickest to make again, so first to go; all others go by age alone. */
const GOES_FIRST = new Set(['lab']);
/** The labs of the default run are 14 GB, the templates that they are made from 5 GB. */
const DEFAULT_LIMIT = '30G';
const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** What is known of the entry in `dir`; null where there is none, or none that is whole. */
export function readRecord(dir: string): EntryRecord | null {
	try {
		return JSON.parse(readFileSync(join(dir, RECORD), 'utf8')) as EntryRecord;
	} catch (error) {
		// A power cut can tear the record of an entry that was not flushed.
		if (error instanceof SyntaxError || hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
		throw error;
	}
}

/** Bytes the cache may hold: $PATHPROOF_CACHE_MAX as `30G`, `512M` or plain bytes. */
export function cacheLimit(): number {
	const text = process.env.PATHPROOF_CACHE_MAX || DEFAULT_LIMIT;
	const match = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text);
	if (!match)
		throw new PathproofError(`PATHPROOF_CACHE_MAX is no size: ${text}`, {
			stage: 'usage',
			hint: `PATHPROOF_CACHE_MAX=${DEFAULT_LIMIT}`,
		});
	return Number(match[1]) * UNITS[match[2]!.toUpperCase()]!;
}

/** Every entry of the cache, and when it was last used. */
export function entries(cache: string): (EntryRecord & { dir: string; usedMs: number })[] {
	return list(cache)
		.filter((kind) => !NO_ENTRIES.has(kind))
		.flatMap((kind) => list(join(cache, kind)).map((key) => join(cache, kind, key)))
		.flatMap((dir) => {
			const record = readRecord(dir);
			const stat = statSync(dir, { throwIfNoEntry: false });
			return record && stat ? [{ ...record, dir, usedMs: stat.mtimeMs }] : [];
		});
}

/** Remove what was used longest ago until the cache is below its limit; nothing that is in use. */
export function evict(cache: string, limit = cacheLimit()): void {
	const all = entries(cache);
	let total = all.reduce((sum, { bytes }) => sum + bytes, 0);
	const queue = all.sort(
		(a, b) => Number(GOES_FIRST.has(b.kind)) - Number(GOES_FIRST.has(a.kind)) || a.usedMs - b.usedMs,
	);
	for (const { dir, bytes } of queue) {
		if (total <= limit) return;
		using unused = lockEntry(dir);
		if (!unused) continue;
		discard(cache, dir);
		total -= bytes;
	}
	if (total > limit)
		process.stderr.write(`the cache holds ${formatBytes(total)}, more than PATHPROOF_CACHE_MAX; all of it is in use\n`);
}

/** Take a directory out of the cache at once, and delete it after; gone already is fine. */
export function discard(cache: string, dir: string): void {
	const trash = join(cache, 'tmp', `trash-${process.pid}-${Date.now()}-${Math.random().toString(36).slice(2)}`);
	try {
		renameSync(dir, trash);
	} catch (error) {
		if (hasCode(error, 'ENOENT')) return;
		throw error;
	}
	rmSync(trash, { recursive: true, force: true });
}

/** Delete what builds that died left in `CACHE/tmp`: theirs is a lock file that nobody holds. */
export function sweep(cache: string): void {
	const tmp = join(cache, 'tmp');
	const names = list(tmp);
	for (const name of names.filter((name) => name.startsWith('trash-')))
		rmSync(join(tmp, name), { recursive: true, force: true });
	for (const name of names.filter((name) => name.endsWith('.lock'))) {
		using dead = tryLock(join(tmp, name), 'exclusive');
		if (!dead) continue;
		rmSync(join(tmp, name.slice(0, -'.lock'.length)), { recursive: true, force: true });
		rmSync(dead.path, { force: true });
	}
}

function lockEntry(dir: string) {
	try {
		return tryLock(dir, 'exclusive', { create: false });
	} catch (error) {
		if (hasCode(error, 'ENOENT')) return null;
		throw error;
	}
}

function list(dir: string): string[] {
	try {
		return readdirSync(dir);
	} catch (error) {
		if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
		throw error;
	}
}
