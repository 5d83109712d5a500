/** The cgroup that is an identity container. */
import { existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerSpec } from '../container.ts';
import { containerCgroup } from '../devices/none.ts';
import { DatapathError } from '../errors.ts';

/** linux/magic.h: CGROUP2_SUPER_MAGIC */
const CGROUP2_MAGIC = 0x63677270;

export function cgroupOf({ name, identity }: Pick<ContainerSpec, 'name' | 'identity'>): string {
	return identity?.cgroup ?? containerCgroup(name);
}

/** Of those that were killed just now. */
const LEAVE_MS = 1_000;

/** Whether there are processes in it, or in a cgroup within it, and stay there: who is killed leaves it a little later. */
export async function isPopulated(path: string): Promise<boolean> {
	const events = join(path, 'cgroup.events');
	const populated = () => existsSync(events) && /^populated 1$/m.test(readFileSync(events, 'latin1'));
	for (const start = Date.now(); populated(); await sleep(20)) if (Date.now() - start > LEAVE_MS) return true;
	return false;
}

/** Null where there is no such directory. Throws a DatapathError where it is not of cgroup v2, which alone has BPF. */
export function cgroupId(path: string): bigint | null {
	// its inode, on 64-bit kernels
	const id = statSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? null;
	if (id !== null && statfsSync(path).type !== CGROUP2_MAGIC)
		throw new DatapathError(`${path} is no cgroup of version 2`, { hint: 'findmnt -t cgroup2' });
	return id;
}
