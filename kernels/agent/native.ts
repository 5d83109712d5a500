/** The few calls of the C library that Node has no words for. */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

const poll_ = libc.func('int poll(void *fds, unsigned long count, int timeout)');
const setns = libc.func('int setns(int fd, int type)');
const clock_settime = libc.func('int clock_settime(int clock, const void *time)');
const read = libc.func('long read(int fd, void *buffer, unsigned long size)');

export const POLLIN = 0x01;
export const POLLOUT = 0x04;
export const POLLHUP = 0x10;

const CLONE_NEWNET = 0x4000_0000;
const CLOCK_REALTIME = 0;

/** Waits on a thread of its own until `fd` has one of `events`; answers those it has. */
export function poll(fd: number, events: number): Promise<number> {
	// struct pollfd { int fd; short events; short revents; }
	const request = Buffer.alloc(8);
	request.writeInt32LE(fd, 0);
	request.writeInt16LE(events, 4);
	return new Promise((resolve, reject) => {
		poll_.async(request, 1, -1, (error: Error | null) => (error ? reject(error) : resolve(request.readInt16LE(6))));
	});
}

/** read(2) of a file that does not block; null where there is nothing to read now. Throws nothing for the usual case. */
export function readNow(fd: number, buffer: Buffer): Buffer | null {
	const size: number = read(fd, buffer, buffer.length);
	return size < 0 ? null : buffer.subarray(0, size);
}

/** Moves the calling thread, Node's own, to another netns; what it forks is born there. */
export function enterNetns(fd: number): void {
	check(setns(fd, CLONE_NEWNET), 'setns');
}

export function setRealtime(unixNanoseconds: bigint): void {
	const second = 1_000_000_000n;
	check(
		clock_settime(CLOCK_REALTIME, new BigInt64Array([unixNanoseconds / second, unixNanoseconds % second])),
		'clock_settime',
	);
}

/** Keeps libbpf mapped, so that a fork need not load it. Answers why it cannot be, or null. */
export function warmLibbpf(): string | null {
	try {
		koffi.load('libbpf.so.1');
		return null;
	} catch (error) {
		return String(error);
	}
}

function check(status: number, what: string): void {
	if (status < 0) throw new Error(`${what}: errno ${koffi.errno()}`);
}
