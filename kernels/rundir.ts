/** A directory for the sockets and consoles of this process, gone with it. */
import { lstatSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasCode, makeDirectory } from './disk.ts';
import { type Lock, tryLock } from './flock.ts';

export interface RunDir extends Disposable {
	/** absolute path, mode 0700, short enough for the path of a unix socket below it */
	readonly dir: string;
	/** Removes it; the end of the process does too, and after a kill -9 the next process. */
	release(): void;
}

/** sun_path holds 108 bytes: this leaves 48 for the name of the socket. */
const LONGEST = 60;

let current: RunDir | undefined;

/**
 * This process's own run-time directory, made on the first call: `CACHE/run/PID-…`, or `TMPDIR/pathproof-run-UID/PID-…` where the
 * cache is read-only or its path too long for a socket.
 */
export function runDirIn(cache: string): RunDir {
	current ??= make(cache);
	return current;
}

function make(cache: string): RunDir {
	const elsewhere = fallback();
	const { dir, held } = claim(join(cache, 'run')) ?? claim(elsewhere) ?? unclaimed(elsewhere);
	const remove = () => {
		rmSync(dir, { recursive: true, force: true });
		if (dir.startsWith(elsewhere)) removeEmpty(elsewhere);
	};
	const release = () => {
		process.off('exit', remove);
		remove();
		held.release();
		current = undefined;
	};
	process.on('exit', remove);
	return { dir, release, [Symbol.dispose]: release };
}

/** A new directory below `base`, held by its flock; null where it cannot be written or is too long. */
function claim(base: string): { dir: string; held: Lock } | null {
	if (Buffer.byteLength(base) > LONGEST - '/4194304-XXXXXX'.length) return null;
	try {
		makeDirectory(base, 0o700);
		// Others can write to TMPDIR: what they made there is not to be trusted.
		const found = lstatSync(base);
		if (found.uid !== process.getuid?.() || !found.isDirectory()) return null;
		sweepRun(base);
		const dir = mkdtempSync(join(base, `${process.pid}-`));
		const held = tryLock(dir, 'shared', { create: false });
		return held && { dir, held };
	} catch (error) {
		if (hasCode(error, 'EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOENT')) return null;
		throw error;
	}
}

function unclaimed(base: string): never {
	throw Object.assign(new Error(`cannot make a run-time directory in ${base}`), { code: 'EACCES', path: base });
}

function fallback(): string {
	return join(tmpdir(), `pathproof-run-${process.getuid?.() ?? 0}`);
}

/** Nothing of ours stays in TMPDIR, unless another process still has its directory there. */
function removeEmpty(base: string): void {
	try {
		rmdirSync(base);
	} catch (error) {
		if (!hasCode(error, 'ENOTEMPTY', 'ENOENT')) throw error;
	}
}

/** Remove the directories of dead processes: nobody holds their flock. */
function sweepRun(base: string): void {
	for (const name of readdirSync(base)) {
		const dir = join(base, name);
		// Made and not yet locked, it would look dead for a moment.
		const { mtimeMs = Date.now() } = statSync(dir, { throwIfNoEntry: false }) ?? {};
		if (Date.now() - mtimeMs < 2_000) continue;
		using dead = lockDead(dir);
		if (dead) rmSync(dir, { recursive: true, force: true });
	}
}

function lockDead(dir: string): Lock | null {
	try {
		return tryLock(dir, 'exclusive', { create: false });
	} catch (error) {
		if (hasCode(error, 'ENOENT')) return null;
		throw error;
	}
}
