/**
 * One change of this host at a time: flock(2) on the directory /sys/fs/bpf itself, so that nothing is left behind, and the kernel lets
 * go however its owner ends.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatapathError } from '../errors.ts';
import { lastErrno, native } from '../libbpf/native.ts';
import { setHeldLock } from './held.ts';

const BPFFS = '/sys/fs/bpf';
/** linux/magic.h: BPF_FS_MAGIC */
const BPFFS_MAGIC = 0xcafe4a11;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** Behind an owner that does nothing; a queue of those that each do their work, on a slow machine, may take longer. */
const PATIENCE_MS = 30_000;
/** Behind one that is at it without end. */
const LAST_PATIENCE_MS = 300_000;

let queue: Promise<unknown> = Promise.resolve();

/** Calls of one process come one after the other, each behind other processes. Never call it from within `act`. */
export function locked<T>(act: () => Promise<T>): Promise<T> {
	const turn = queue.then(() => alone(act));
	queue = turn.catch(() => undefined); // told to who asked for it
	return turn;
}

async function alone<T>(act: () => Promise<T>): Promise<T> {
	const fd = await take();
	setHeldLock(fd);
	try {
		return await act();
	} finally {
		setHeldLock(null);
		closeSync(fd);
	}
}

async function take(): Promise<number> {
	const fd = openBpffs();
	let seen = '';
	const began = Date.now();
	let since = began;
	for (let pause = 5; ; pause = Math.min(pause * 1.5, 100)) {
		if (native.flock(fd, LOCK_EX | LOCK_NB) === 0) return fd;
		const why = lastErrno();
		if (why !== 'EAGAIN') {
			closeSync(fd);
			throw new DatapathError(`${BPFFS} cannot be locked: ${why}`, { lacking: true });
		}
		const owner = lockOwner(fstatSync(fd).ino);
		const now = `${owner} ${workDone(owner)}`;
		if (now !== seen) since = Date.now();
		seen = now;
		if (Date.now() - since > PATIENCE_MS || Date.now() - began > LAST_PATIENCE_MS) {
			closeSync(fd);
			throw new DatapathError(
				`another pathproof${owner === null ? '' : ` (pid ${owner})`} has been changing this host for ${Math.round((Date.now() - began) / 1000)} s`,
				{ hint: owner === null ? 'cat /proc/locks' : `ps -fp ${owner}; end it if it hangs` },
			);
		}
		await sleep(pause);
	}
}

function openBpffs(): number {
	const lack = (message: string) =>
		new DatapathError(message, { lacking: true, hint: `as root: mount -t bpf bpf ${BPFFS}` });
	try {
		if (statfsSync(BPFFS).type !== BPFFS_MAGIC) throw lack(`no bpf file system is mounted on ${BPFFS}`);
		return openSync(BPFFS, constants.O_RDONLY | constants.O_DIRECTORY);
	} catch (error) {
		throw error instanceof DatapathError ? error : lack(`${BPFFS} cannot be opened: ${(error as Error).message}`);
	}
}

/** From /proc/locks, `1: FLOCK  ADVISORY  WRITE 1234 00:1c:5678 0 EOF`; null where it lives in a pid namespace beyond this one's sight. */
function lockOwner(inode: number): number | null {
	for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
		const match = /^\d+: FLOCK\s+ADVISORY\s+WRITE\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
		if (match && Number(match[2]) === inode) return Number(match[1]) || null;
	}
	return null;
}

/** Clock ticks of it and its children, proc(5): utime, stime, cutime, cstime. Empty where it is gone, or not seen from here. */
function workDone(pid: number | null): string {
	if (pid === null) return '';
	try {
		// behind the name, which may hold anything
		const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
			.replace(/^.*\) /s, '')
			.split(' ');
		return fields.slice(11, 15).join();
	} catch {
		return ''; // it ended meanwhile
	}
}
