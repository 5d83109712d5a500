/** What every matcher asks before it judges: is there anything to judge, and was all of it seen? */
import type { MatcherState } from 'vitest';
import { PathproofError } from '../../../../kernels/errors.ts';
import { formatPacket, Trace } from '../trace.ts';
import type { Hop, PacketPath, UntracedProgram } from '../types.ts';

/** A whole trace, its `out` or `in`, or one packet. */
export type Packets = Trace | PacketPath | readonly PacketPath[];

export interface Verdict {
	pass: boolean;
	message: () => string;
}

export interface Evidence {
	packets: readonly PacketPath[];
	/** where a single hop is judged */
	hop: Hop | null;
	/** what was watched; null where packets were made by hand */
	symbols: readonly string[] | null;
	/** the reasons that the kernel can give for a drop; null where packets were made by hand */
	reasons: readonly string[] | null;
	untraced: readonly UntracedProgram[];
	lostEvents: number;
	/** the claim is made with `.not` */
	isNot: boolean;
}

interface Claim<Args extends unknown[]> {
	judge(evidence: Evidence, ...args: Args): Verdict;
	/** whether it says that something did not happen: that can be said only where nothing ran unseen. `.not` does without. */
	denies?(...args: Args): boolean;
}

/** The matcher of a claim. It fails with and without `.not` where the evidence is short: of packets, of events, of programs. */
export function matcher<Args extends unknown[]>(
	name: string,
	{ judge, denies = () => false }: Claim<Args>,
): (this: MatcherState, received: unknown, ...args: Args) => Verdict {
	return function (received, ...args) {
		// vitest leaves it undefined where there is no `.not`, though it is declared a boolean.
		const evidence = gather(received, name, Boolean(this.isNot));
		const short = shortOf(evidence, evidence.isNot || denies(...args));
		return short === null ? judge(evidence, ...args) : undecided(evidence, short);
	};
}

export function gather(received: unknown, name: string, isNot: boolean): Evidence {
	const hop = isHop(received) ? received : null;
	const packets = hop ? [] : packetsOf(received, name);
	// a list may be of several traces: what one of them lacks, all of it lacks
	const traces = [...new Set(received instanceof Trace ? [received] : (hop ? [hop] : packets).map(Trace.of))];
	const known = traces.filter((trace) => trace !== undefined);
	const all = [...packets, ...known.flatMap((trace) => trace.packets)];
	return {
		packets,
		hop,
		symbols: common(known.map(({ symbols }) => symbols)),
		reasons: common(known.flatMap(({ reasons }) => (reasons ? [reasons] : []))),
		untraced: known.flatMap(({ untraced }) => untraced),
		lostEvents: all.reduce((most, { lostEvents }) => Math.max(most, lostEvents), 0),
		isNot,
	};
}

/** What is in each of the lists; null where there is none. */
function common(lists: readonly (readonly string[])[]): readonly string[] | null {
	return lists.length ? lists.reduce((all, list) => all.filter((word) => list.includes(word))) : null;
}

function isHop(received: unknown): received is Hop {
	return typeof received === 'object' && received !== null && 'hop' in received;
}

function packetsOf(received: unknown, name: string): readonly PacketPath[] {
	const packets = received instanceof Trace ? received.packets : Array.isArray(received) ? received : [received];
	if (packets.every((packet) => typeof packet === 'object' && packet !== null && 'hops' in packet)) return packets;
	throw new PathproofError(`${name} judges a trace or its packets, and not ${typeof received}`, {
		stage: 'usage',
		hint: 'await the stimulus: `expect(await web.ping(peer))`',
	});
}

/** What the evidence lacks, in words; null where it is enough. */
export function shortOf({ packets, hop, lostEvents, untraced }: Evidence, denies: boolean): string | null {
	if (!packets.length && !hop) return 'no packet was traced';
	if (lostEvents)
		return `${lostEvents} events were lost, so nothing can be said of this trace: a larger ring buffer takes more, \`lab({ ringBytes: 2 ** 26 })\``;
	if (!denies || !untraced.length) return null;
	const programs = untraced.map(({ name, why }) => `\n  ${name}: ${why}`);
	return `a program ran unseen, so it cannot be said what did not happen:${programs.join('')}`;
}

/** Neither the claim nor its negation holds. */
export function undecided({ isNot }: Evidence, message: string): Verdict {
	return { pass: isNot, message: () => message };
}

/** Of each; with `.not`, of none. `message` tells of the first one that makes it false. */
export function each<T>(
	evidence: Evidence,
	things: readonly T[],
	holds: (thing: T) => boolean,
	message: (odd: T) => string,
): Verdict {
	const { isNot } = evidence;
	if (!things.length) return undecided(evidence, 'there is nothing to judge');
	const odd = things.find((thing) => holds(thing) === isNot);
	return odd === undefined ? { pass: !isNot, message: () => '' } : { pass: isNot, message: () => message(odd) };
}

const SHOWN = 5;

/** The first of them, a line each. */
export function listed(
	packets: readonly PacketPath[],
	format: (packet: PacketPath) => string = formatPacket,
): string[] {
	const more = packets.length - SHOWN;
	return [
		...packets.slice(0, SHOWN).map((packet) => `  ${format(packet)}`),
		...(more > 0 ? [`  … and ${more} more`] : []),
	];
}
