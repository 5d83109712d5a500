/**
 * The programs of an identity container on its cgroup, each by a link that is pinned in a folder of the container's name. Others may
 * have programs on the same cgroup, above and below: links tolerate them, and none of them can take ours away.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { withPinned } from '../forward/attach.ts';
import { PIN_ROOT, type ProgramName, withProgram } from '../forward/datapath.ts';
import { detachLink, hasCgroupOrder, linkCgroup, pin } from '../libbpf/attach.ts';
import { cgroupLinkInfo } from '../libbpf/enumerate.ts';
import { ATTACH_ORDER, hookOf, type IdentityProgram } from './programs.ts';

const IDENTITIES = join(PIN_ROOT, 'identities');

export interface IdentityLink {
	container: string;
	program: IdentityProgram;
	pin: string;
}

/** What the kernel says of it. */
export interface LookedAtLink extends IdentityLink {
	id: number;
	/** its id; null: the cgroup is gone, or the link was detached */
	running: number | null;
	cgroup: bigint;
}

/** Attaches once: what is attached to this very cgroup already is left as it is. Before all others where the kernel has an order. */
export function attachIdentity(container: string, path: string, cgroup: bigint, program: IdentityProgram): void {
	const link: IdentityLink = { container, program, pin: join(IDENTITIES, container, program) };
	if (existsSync(link.pin)) {
		if (lookAtLink(link).cgroup === cgroup) return;
		unlinkSync(link.pin);
	}
	mkdirSync(join(IDENTITIES, container), { recursive: true });
	const hook = hookOf(program);
	linkAndPin(path, program, link.pin, (fd, directory) =>
		linkCgroup(fd, directory, hook, hasCgroupOrder(fd, hook) ? 'first' : 'none'),
	);
}

/** `path`: the cgroup's directory, of which `make` is given the file descriptor, and of the program, to answer the link. */
export function linkAndPin(
	path: string,
	program: ProgramName,
	at: string,
	make: (program: number, cgroup: number) => number,
): void {
	const directory = openSync(path, 'r');
	try {
		withProgram(program, ({ fd }) => {
			const made = make(fd, directory);
			try {
				pin(made, at);
			} finally {
				closeSync(made);
			}
		});
	} finally {
		closeSync(directory);
	}
}

/** Whether there are links of it, or an interrupted call was about to pin some. */
export function hasPins(container: string): boolean {
	return existsSync(join(IDENTITIES, container));
}

/** All that `hasPins`. */
export function pinnedContainers(): string[] {
	return existsSync(IDENTITIES) ? readdirSync(IDENTITIES) : [];
}

/** Of one container, or of all. */
export function identityLinks(container?: string): IdentityLink[] {
	if (container === undefined) return pinnedContainers().flatMap((name) => identityLinks(name));
	if (!hasPins(container)) return [];
	const folder = join(IDENTITIES, container);
	return (readdirSync(folder) as IdentityProgram[]).map((program) => ({
		container,
		program,
		pin: join(folder, program),
	}));
}

export function lookAtLink(link: IdentityLink): LookedAtLink {
	const { id, program, cgroup } = withPinned(link.pin, cgroupLinkInfo);
	return { ...link, id, running: cgroup ? program : null, cgroup };
}

/** What changes goes before what shows. */
export function detachIdentity(container: string): void {
	const order = (one: IdentityLink) => ATTACH_ORDER.indexOf(one.program);
	for (const one of identityLinks(container).sort((a, b) => order(b) - order(a))) {
		withPinned(one.pin, detachLink);
		unlinkSync(one.pin);
	}
	if (hasPins(container)) rmdirSync(join(IDENTITIES, container));
}
