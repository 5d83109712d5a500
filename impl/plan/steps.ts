/** What several plans are made of. */
import { attach, attachToHost, type HostKind } from '../forward/attach.ts';
import { ensureLoaded, objectOf, type ProgramName, withProgram } from '../forward/datapath.ts';
import { type IpPlace, ipBatch } from '../ip/ip.ts';
import type { Step } from '../step.ts';

export function ipStep(place: IpPlace | string | null, commands: string[]): Step {
	const { netns, family } = typeof place === 'object' && place !== null ? place : { netns: place, family: undefined };
	const prefix = ['ip', ...(family ? [family] : []), ...(netns === null ? [] : ['-n', netns])].join(' ');
	return {
		what: commands.map((command) => `${prefix} ${command}`).join('\n'),
		run: () => ipBatch(place, commands),
	};
}

/** None where there is nothing to do. */
export function ipSteps(place: IpPlace | string | null, commands: string[]): Step[] {
	return commands.length ? [ipStep(place, commands)] : [];
}

export function attachStep(program: ProgramName, place: Parameters<typeof attach>[1]): Step {
	return {
		what: `attach ${program} to ${place.device} (${place.point})`,
		run() {
			ensureLoaded(objectOf(program));
			withProgram(program, (loaded) => attach(loaded, place));
		},
	};
}

export function hostStep(program: ProgramName, kind: HostKind): Step {
	return {
		what: `attach ${program} to this host (${kind})`,
		run() {
			ensureLoaded(objectOf(program));
			withProgram(program, (loaded) => attachToHost(loaded, kind));
		},
	};
}
