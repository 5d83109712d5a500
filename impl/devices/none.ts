/** No device: the container is a cgroup in the host's netns, and uses the host's addresses. */
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup/pathproof';

export function containerCgroup(name: string): string {
	return join(CGROUPS, name);
}

export const CGROUP_ROOT = CGROUPS;
