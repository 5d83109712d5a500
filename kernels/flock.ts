/**
 * Advisory locks between processes: flock(2), which the kernel releases however its owner ends, kill -9 included.
 * Node has no call for it, hence libc through koffi. Files that Node opens are close-on-exec, so no child keeps a lock alive.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';
import { PathproofError } from './errors.ts';

export type LockMode = 'shared' | 'exclusive';

export interface Lock extends Disposable {
	readonly path: string;
	/** May be called more than once. */
	release(): void;
}

export interface LockOptions {
	/** false: answer null at once where another holds it */
	wait?: boolean;
	/** true: make an empty file where there is none; false: such a path throws ENOENT */
	create?: boolean;
	/** says once, after a few seconds, whom it waits for; stderr without */
	onWait?: (message: string) => void;
	/** what is being waited for, for that message: `kernel 6.12.117` */
	what?: string;
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;
/** Long enough that a short wait is silent, short enough that a user does not think it hangs. */
const SILENT_MS = 3_000;

const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');

/** Try once. Null where another process, or another lock of this one, is in the way. Throws Node's own error where `path` cannot be opened. */
export function tryLock(path: string, mode: LockMode, { create = true }: { create?: boolean } = {}): Lock | null {
	const fd = open(path, create);
	try {
		if (flock(fd, (mode === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) !== 0) {
			const errno = koffi.errno();
			closeSync(fd);
			if (errno === EWOULDBLOCK) return null;
			throw new PathproofError(`cannot lock ${path}: errno ${errno}`, {
				stage: 'setup',
				hint: 'put PATHPROOF_CACHE on a local file system',
			});
		}
		// Whoever held it before may have removed the file: then this lock guards nothing, and the path is someone else's.
		if (!stillThere(fd, path)) {
			closeSync(fd);
			return null;
		}
	} catch (error) {
		if (!(error instanceof PathproofError)) closeSync(fd);
		throw error;
	}
	let held = true;
	const release = () => {
		if (held) closeSync(fd);
		held = false;
	};
	return { path, release, [Symbol.dispose]: release };
}

/** Wait for the lock without blocking the event loop. */
export async function lock(path: string, mode: LockMode, options: LockOptions & { wait: false }): Promise<Lock | null>;
export async function lock(path: string, mode: LockMode, options?: LockOptions): Promise<Lock>;
export async function lock(path: string, mode: LockMode, options: LockOptions = {}): Promise<Lock | null> {
	const { wait = true, create = true, what, onWait = (message) => process.stderr.write(`${message}\n`) } = options;
	const started = Date.now();
	let told = false;
	for (let pause = 5; ; pause = Math.min(pause * 1.5, 200)) {
		const got = tryLock(path, mode, { create });
		if (got || !wait) return got;
		const owner = told || Date.now() - started < SILENT_MS ? [] : owners(path).filter((pid) => pid !== process.pid);
		if (owner.length > 0) {
			onWait(`waiting for another pathproof (pid ${owner.join(', ')}) to finish ${what ?? path} …`);
			told = true;
		}
		await sleep(pause);
	}
}

/** The processes that hold a lock on `path`, from /proc/locks: `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`. */
export function owners(path: string): number[] {
	const { ino } = statSync(path, { throwIfNoEntry: false }) ?? {};
	if (ino === undefined) return [];
	return readFileSync('/proc/locks', 'utf8')
		.split('\n')
		.map((line) => /^\d+: FLOCK\s+ADVISORY\s+(?:READ|WRITE)\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line))
		.filter((match) => match !== null && Number(match[2]) === ino && match[1] !== '0')
		.map((match) => Number(match![1]));
}

function open(path: string, create: boolean): number {
	// O_RDWR, because NFS gives an exclusive lock only to a writer; where that cannot be, a reader's descriptor does.
	const flags = create ? constants.O_RDWR | constants.O_CREAT : constants.O_RDONLY;
	try {
		return openSync(path, flags, 0o644);
	} catch (error) {
		const { code = '' } = error as NodeJS.ErrnoException;
		if (create && existsSync(path) && ['EISDIR', 'EROFS', 'EACCES'].includes(code))
			return openSync(path, constants.O_RDONLY);
		throw error;
	}
}

function stillThere(fd: number, path: string): boolean {
	const held = fstatSync(fd);
	const named = statSync(path, { throwIfNoEntry: false });
	return named !== undefined && named.ino === held.ino && named.dev === held.dev;
}
