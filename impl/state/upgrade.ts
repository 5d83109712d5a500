/**
 * Other programs in the place of those that are pinned, while packets pass. Maps are shared: what is known of containers stays.
 *
 *   maps   those that the earlier version did not have are pinned; who has them with other rows is refused (datapath.ts)
 *   pins   each is replaced by one rename; who adds a container now attaches the new program
 *   links  each takes the pinned program at once; a clsact filter is replaced in one netlink message; those of the host are made
 *          anew beside the old ones, which go then
 *
 * Whoever is killed between leaves a datapath whose programs are of two versions and share their maps; the next call finds which are
 * not what is pinned, and goes on.
 */
import { existsSync, mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { deviceName } from '../addresses.ts';
import { attachments, filterOf, isOfHost, replaceOnHost, withPinned } from '../forward/attach.ts';
import {
	type Anew,
	loadedObjects,
	loadProgramsAnew,
	PIN_ROOT_IN_THE_MAKING,
	type ProgramName,
	pinPath,
	withProgram,
} from '../forward/datapath.ts';
import { identityLinks, lookAtLink } from '../identity/links.ts';
import { attachClsact, pin, updateLink } from '../libbpf/attach.ts';
import { programIdentity } from '../libbpf/enumerate.ts';
import { halfMadeSteps } from '../plan/objects.ts';
import type { Step } from '../step.ts';
import { lookAtTlsLink, tlsLinks } from '../tls/links.ts';
import { isOnDevice } from '../tls/programs.ts';
import { lookAt, pinnedProgram } from './attached.ts';

interface Upgrade extends Disposable {
	/** none where the programs are what they ought to be */
	steps: Step[];
}

/** Loads the programs of this pathproof, to compare them: what is not pinned goes when the plan is disposed of. */
export function planUpgrade(): Upgrade {
	const anew: Anew[] = [];
	for (const object of loadedObjects())
		anew.push(
			loadProgramsAnew(
				object,
				anew.flatMap(({ maps }) => maps),
			),
		);
	const programs = new Map(anew.flatMap(({ programs }) => [...programs]));
	const maps = anew.flatMap((one) => one.maps);
	const renewed = [...programs].filter(
		// who has none of a map shares it with nobody: all programs are to be over the one that is pinned
		([name, fd]) => maps.length || !isPinned(name) || pinnedTag(name) !== programIdentity(fd).tag,
	);
	const newer = new Set(renewed.map(([name]) => name));
	const outdated = attachments().filter((one) => {
		if (!programs.has(one.program as ProgramName)) return false;
		const { id } = lookAt(one);
		return (
			id !== null &&
			(newer.has(one.program as ProgramName) || id !== pinnedProgram(pinPath('programs', one.program)).id)
		);
	});
	return {
		steps: [
			...halfMadeSteps(),
			// before the programs: who is killed between finds them there, and goes on
			...maps.map(({ name, fd }) => ({ what: `pin the map ${name}`, run: () => pin(fd, pinPath('maps', name)) })),
			...renewed.map(([name, fd]) => ({
				what: isPinned(name) ? `pin another ${name}` : `pin ${name}`,
				run: () => repin(pinPath('programs', name), fd),
			})),
			...[...identityLinks().map(lookAtLink), ...tlsLinks().map(lookAtTlsLink)]
				.filter(
					({ program, running }) =>
						running !== null && (newer.has(program) || running !== pinnedProgram(pinPath('programs', program)).id),
				)
				.map(({ container, program, pin }) => ({
					what: `replace ${program} on ${isOnDevice(program) ? 'a device' : 'the cgroup'} of ${container}`,
					run: () => withProgram(program, ({ fd }) => withPinned(pin, (link) => updateLink(link, fd))),
				})),
			...outdated.map((one) => ({
				what: `replace ${one.program} on ${isOfHost(one.kind) ? 'this host' : (deviceName(one.ifindex) ?? `device ${one.ifindex}`)} (${one.kind})`,
				run: () =>
					withProgram(one.program as ProgramName, ({ fd }) => {
						if (one.kind === 'clsact') {
							attachClsact(fd, filterOf(one));
							repin(one.pin, fd);
						} else if (isOfHost(one.kind)) replaceOnHost(fd, one);
						else withPinned(one.pin, (link) => updateLink(link, fd));
					}),
			})),
		],
		[Symbol.dispose]() {
			for (const one of anew) one[Symbol.dispose]();
		},
	};
}

function isPinned(program: ProgramName): boolean {
	return existsSync(pinPath('programs', program));
}

function pinnedTag(program: ProgramName): string {
	return pinnedProgram(pinPath('programs', program)).tag;
}

/** In one rename: there is no moment at which nothing is pinned there. */
function repin(path: string, fd: number): void {
	mkdirSync(PIN_ROOT_IN_THE_MAKING, { recursive: true });
	const unfinished = join(PIN_ROOT_IN_THE_MAKING, 'program');
	pin(fd, unfinished);
	renameSync(unfinished, path);
	rmdirSync(PIN_ROOT_IN_THE_MAKING);
}
