/** Where a probe may do as it likes: a netns and a cgroup that nobody else sees and that are gone afterwards. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmdirSync } from 'node:fs';
import koffi from 'koffi';

const CLONE_NEWNET = 0x4000_0000;
const libc = koffi.load('libc.so.6');
const unshare = libc.func('int unshare(int flags)');
const setns = libc.func('int setns(int fd, int type)');
const socket_ = libc.func('int socket(int family, int type, int protocol)');
const syscall = libc.func('long syscall(long number, ...)');
const setsockopt_ = libc.func('int setsockopt(int fd, int level, int name, const char *value, uint32_t size)');

const if_nametoindex = libc.func('unsigned int if_nametoindex(const char *name)');

/** `lo`, in a netns as new as this one */
export const LOOPBACK = 1;

/** Calls `act` in a new netns, where `lo` is device 1. Synchronous, because the whole agent is there meanwhile. */
export function inNewNetns<T>(act: () => T): T {
	const home = openSync('/proc/self/ns/net', 'r');
	try {
		if (unshare(CLONE_NEWNET) < 0) throw new Error(`unshare: errno ${koffi.errno()}`);
		return act();
	} finally {
		setns(home, CLONE_NEWNET);
		closeSync(home);
	}
}

/** Calls `act` with the fd of a new cgroup. */
export function inNewCgroup<T>(act: (fd: number) => T): T {
	const path = `/sys/fs/cgroup/pathproof-probe-${process.pid}`;
	mkdirSync(path);
	const fd = openSync(path, 'r');
	try {
		return act(fd);
	} finally {
		closeSync(fd);
		rmdirSync(path);
	}
}

/** 0 where the command does as it is told, else what it says. */
export function tryCommand(command: string): 0 | string {
	const [program, ...args] = command.split(' ');
	const { status, stderr, error } = spawnSync(program!, args, {
		encoding: 'utf8',
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	if (error) throw error;
	return status === 0 ? 0 : stderr.trim() || `status ${status}`;
}

/** The status of socket(2), or -errno. */
export function trySocket(family: number, type: number, protocol: number): number {
	const fd: number = socket_(family, type, protocol);
	if (fd < 0) return -koffi.errno();
	closeSync(fd);
	return 0;
}

/** Whether a ring of io_uring(7) knows an operation, by IORING_REGISTER_PROBE; -errno where there are no rings. */
export function tryRingOperation(operation: number): number | string {
	const [IO_URING_SETUP, IO_URING_REGISTER, IORING_REGISTER_PROBE, IO_URING_OP_SUPPORTED] = [425, 427, 8, 1];
	const [HEADER, ROW, ROWS] = [16, 8, 256];
	const fd: number = syscall(IO_URING_SETUP, 'uint32_t', 1, 'void *', Buffer.alloc(120));
	if (fd < 0) return -koffi.errno();
	try {
		const known = Buffer.alloc(HEADER + ROW * ROWS);
		if (syscall(IO_URING_REGISTER, 'int', fd, 'uint32_t', IORING_REGISTER_PROBE, 'void *', known, 'uint32_t', ROWS) < 0)
			return -koffi.errno();
		const flags = known.readUInt16LE(HEADER + ROW * operation + 2);
		return flags & IO_URING_OP_SUPPORTED ? 0 : `no operation ${operation}`;
	} finally {
		closeSync(fd);
	}
}

/** The status of setsockopt(2) on a new TCP socket, or -errno. */
export function tryTcpOption(name: number, value: string): number {
	const [AF_INET, SOCK_STREAM, SOL_TCP] = [2, 1, 6];
	const fd: number = socket_(AF_INET, SOCK_STREAM, 0);
	const status: number = setsockopt_(fd, SOL_TCP, name, value, value.length);
	const answer = status < 0 ? -koffi.errno() : 0;
	closeSync(fd);
	return answer;
}

/** In the netns that the caller is in. */
export function deviceIndex(name: string): number {
	return if_nametoindex(name);
}
