/** No device: the container is a cgroup in the host's netns, and uses the host's addresses. */
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatapathError } from '../errors.ts';

const CGROUPS = '/sys/fs/cgroup/pathproof';

export function containerCgroup(name: string): string {
	return join(CGROUPS, name);
}

export function makeCgroup(name: string): void {
	mkdirSync(containerCgroup(name), { recursive: true });
}

/**
 * With what its programs have made within it, and the cgroup of all once there is none in it. Does nothing where there is none. Throws a
 * DatapathError while processes are in it.
 */
export function removeCgroup(name: string): void {
	removeTree(containerCgroup(name));
	if (existsSync(CGROUPS) && !cgroupsIn(CGROUPS).length) rmdirSync(CGROUPS);
}

function cgroupsIn(path: string): string[] {
	return readdirSync(path, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? [join(path, one.name)] : []));
}

function removeTree(path: string): void {
	try {
		cgroupsIn(path).forEach(removeTree);
		rmdirSync(path);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'ENOENT') return;
		if (code !== 'EBUSY') throw error;
		throw new DatapathError(`there are processes in ${path}`, { hint: `echo 1 > ${path}/cgroup.kill`, cause: error });
	}
}
