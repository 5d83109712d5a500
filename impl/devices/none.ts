/** No device: the container is a cgroup in the host's netns, and uses the host's addresses. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatapathError } from '../errors.ts';

const CGROUPS = '/sys/fs/cgroup/pathproof';

export function containerCgroup(name: string): string {
	return join(CGROUPS, name);
}

export function makeCgroup(name: string): void {
	mkdirSync(containerCgroup(name), { recursive: true });
}

/** Does nothing where there is none. `last`: of all containers without a device. Throws a DatapathError while processes are in it. */
export function removeCgroup(name: string, last: boolean): void {
	removeFolder(containerCgroup(name));
	if (last) removeFolder(CGROUPS);
}

function removeFolder(path: string): void {
	try {
		rmdirSync(path);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'ENOENT') return;
		if (code !== 'EBUSY') throw error;
		throw new DatapathError(`there are processes in ${path}`, { hint: `echo 1 > ${path}/cgroup.kill`, cause: error });
	}
}
