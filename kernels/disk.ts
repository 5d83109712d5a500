/** What the cache asks of the disk: how much a tree holds, that it is written, and why it would not take more. */
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import koffi from 'koffi';
import { PathproofError } from './errors.ts';

/** Up to here each file is flushed alone; beyond, one syncfs(2) is cheaper than a journal commit per kernel module. */
const FEW_FILES = 64;
/** A file system with less than this left is full, whatever the tool that failed on it says. */
const FULL_BYTES = 1 << 20;

const syncfs = koffi.load('libc.so.6').func('int syncfs(int fd)');

/** Allocated bytes below `dir`, itself included: 512 × st_blocks, so holes count for nothing. */
export function allocatedBytes(dir: string): number {
	return [dir, ...walk(dir)].reduce((sum, path) => sum + lstatSync(path).blocks * 512, 0);
}

/** Bytes that can still be written to the file system of `dir`. */
export function freeBytes(dir: string): number {
	const { bavail, bsize } = statfsSync(nearest(dir));
	return bavail * bsize;
}

/** Make a directory and those above it. Node's own `recursive` says ENOENT where the truth is that the file system is read-only. */
export function makeDirectory(dir: string, mode?: number): void {
	try {
		mkdirSync(dir, { mode });
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'EEXIST') return;
		if (code !== 'ENOENT' || dir === dirname(dir)) throw error;
		makeDirectory(dirname(dir), mode);
		makeDirectory(dir, mode);
	}
}

/** Put all below `dir` on the disk. */
export function flush(dir: string): void {
	const paths = [dir, ...walk(dir)].filter((path) => !lstatSync(path).isSymbolicLink());
	if (paths.length > FEW_FILES) withFile(dir, syncfs);
	else for (const path of paths) withFile(path, fsyncSync);
}

/** Put the names in `dir` on the disk: what makes a rename last. */
export function flushDirectory(dir: string): void {
	withFile(dir, fsyncSync);
}

/** `1.4 GB`, `34.7 MB`: decimal, as disks and packages are sold. */
export function formatBytes(bytes: number): string {
	const units = ['B', 'kB', 'MB', 'GB', 'TB'];
	const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
	const value = bytes / 1000 ** power;
	return `${power > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

/**
 * An error met while writing below `dir`, told as what ails the disk where that is why; else the error itself.
 * Tools such as dpkg-deb and mkfs.erofs report a full disk in words of their own: their stderr is looked at too.
 */
export function diskError(error: unknown, dir: string): unknown {
	if (error instanceof PathproofError && error.stage === 'setup') return error;
	for (let at: unknown = error; at instanceof Error; at = at.cause) {
		const { code, path, stderr } = at as NodeJS.ErrnoException & { stderr?: unknown };
		const said = typeof stderr === 'string' ? stderr : '';
		if (code === 'ENOSPC' || code === 'EDQUOT' || said.includes('No space left on device')) return full(dir, error);
		if (code === 'EROFS' || said.includes('Read-only file system')) return readOnly(dir, error);
		if ((code === 'EACCES' || code === 'EPERM') && path?.startsWith(dir)) return readOnly(dir, error);
	}
	if (!(error instanceof PathproofError) && freeBytes(dir) < FULL_BYTES) return full(dir, error);
	return error;
}

/** True for an error of Node's that bears one of these codes: `ENOENT`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
	return codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

function withFile(path: string, act: (fd: number) => unknown): void {
	const fd = openSync(path, 'r');
	try {
		act(fd);
	} finally {
		closeSync(fd);
	}
}

function full(dir: string, cause: unknown): PathproofError {
	return new PathproofError(`the disk of the cache is full: ${dir} has ${formatBytes(freeBytes(dir))} left`, {
		stage: 'setup',
		hint: `free some space, or set PATHPROOF_CACHE to a directory on a larger disk (rm -r ${dir} is always safe)`,
		cause,
	});
}

function readOnly(dir: string, cause: unknown): PathproofError {
	return new PathproofError(
		`the cache cannot be written, and lacks what is asked for: ${dir} (${formatBytes(freeBytes(dir))} free)`,
		{ stage: 'setup', hint: 'make it writable, or set PATHPROOF_CACHE to a directory that is', cause },
	);
}

function walk(dir: string): string[] {
	return readdirSync(dir, { recursive: true, withFileTypes: true }).map((file) => join(file.parentPath, file.name));
}

/** The deepest directory above `dir` that exists. */
function nearest(dir: string): string {
	let at = dir;
	while (at !== dirname(at) && lstatSync(at, { throwIfNoEntry: false }) === undefined) at = dirname(at);
	return at;
}
