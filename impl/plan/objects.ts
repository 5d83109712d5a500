/** Which programs are on this host for whom, as far as not every container needs them. */

import { rmSync } from 'node:fs';
import type { ContainerSpec } from '../container.ts';
import { halfMade, type ObjectName, pinnedObjects, unpin } from '../forward/datapath.ts';
import type { Others } from '../state/records.ts';
import type { Step } from '../step.ts';
import { needsTls } from '../tls/plan.ts';
import { isGuardedSlave } from './slave.ts';

/** Whether a container needs an object. `redirect` has the maps of all, and goes with the last one. */
const NEEDS: Record<ObjectName, (spec: ContainerSpec) => boolean> = {
	redirect: () => true,
	ipvlan: isGuardedSlave,
	identity: ({ identity }) => identity !== undefined,
	low_ports: ({ identity }) => identity?.lowPorts === true,
	tls_connect: (spec) => spec.identity !== undefined && needsTls(spec),
	tls_udp: (spec) => spec.identity !== undefined && needsTls(spec),
	tls_netns: (spec) => spec.identity === undefined && needsTls(spec),
};

/** Of those that are pinned, in part or as a whole. `others`: the containers that stay, of which there are some. */
export function unusedObjects(others: Others): ObjectName[] {
	return pinnedObjects().filter((name) => name !== 'redirect' && !others().some(NEEDS[name]));
}

/** What a call left that was killed as it loaded an object. */
export function halfMadeSteps(): Step[] {
	return halfMade().map((path) => ({ what: `rm -r ${path}`, run: () => rmSync(path, { recursive: true }) }));
}

export function unpinStep(object: ObjectName): Step {
	return { what: `unpin the programs of ${object}`, run: () => unpin(object) };
}
