/** Network namespaces: those made by `ip netns`, and doing things in one. */
import { closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DatapathError } from './errors.ts';
import { checkCall, native } from './libbpf/native.ts';

export const NETNS_DIR = '/run/netns';
const CLONE_NEWNET = 0x4000_0000;

/**
 * Calls `act` with this thread in the netns of that name, or of that path where it begins with /, and comes home. Synchronous on purpose: across an await, other
 * work of the process would run there too. `null` is where the process is already.
 */
export function inNetns<T>(name: string | null, act: () => T): T {
	if (name === null) return act();
	const home = openSync('/proc/thread-self/ns/net', 'r');
	const there = openNetns(name);
	try {
		checkCall(native.setns(there, CLONE_NEWNET), `enter the netns ${name}`);
		return act();
	} finally {
		checkCall(native.setns(home, CLONE_NEWNET), 'come back from a netns');
		closeSync(there);
		closeSync(home);
	}
}

/** The inode numbers by which the kernel knows the namespaces: `host` is the one of this process. */
export function netnsNames(): Map<number, string> {
	const names = new Map([[statSync('/proc/self/ns/net').ino, 'host']]);
	for (const name of namedNetns()) names.set(statSync(`${NETNS_DIR}/${name}`).ino, name);
	return names;
}

/** Whether `ip netns add` made one of that name, however many there are. */
export function hasNetns(name: string): boolean {
	return hasFile(name) && isMounted(name);
}

/** Whether a call of `ip netns` was killed that made or deleted one of that name: a file that nothing is mounted on. */
export function isHalfNetns(name: string): boolean {
	return hasFile(name) && !isMounted(name);
}

/** Commands for `ip -batch`. */
export function addNetns(name: string): string[] {
	return [...(isHalfNetns(name) ? [`netns del ${name}`] : []), `netns add ${name}`];
}

function hasFile(name: string): boolean {
	return name !== '' && basename(name) === name && existsSync(join(NETNS_DIR, name));
}

/** Without, it is on tmpfs like its folder. */
function isMounted(name: string): boolean {
	return statSync(join(NETNS_DIR, name)).dev !== statSync(NETNS_DIR).dev;
}

/** Those made by `ip netns add`. */
export function namedNetns(): string[] {
	try {
		return readdirSync(NETNS_DIR);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
		throw error;
	}
}

/** Paths, each netns once: those made by `ip netns add`, and those that the processes of this host are in. */
export function everyNetns(): string[] {
	const paths = [
		...namedNetns().map((name) => join(NETNS_DIR, name)),
		...readdirSync('/proc')
			.filter((pid) => /^\d+$/.test(pid))
			.map((pid) => `/proc/${pid}/ns/net`),
	];
	const found = new Map<number, string>();
	for (const path of paths) {
		// a process may have ended meanwhile
		const inode = statSync(path, { throwIfNoEntry: false })?.ino;
		if (inode !== undefined && !found.has(inode)) found.set(inode, path);
	}
	return [...found.values()];
}

function openNetns(name: string): number {
	try {
		return openSync(resolve(NETNS_DIR, name), 'r');
	} catch (cause) {
		throw new DatapathError(`there is no netns ${name}`, { hint: `ip netns add ${name}`, cause });
	}
}
