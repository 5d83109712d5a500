/** The hops that packets took: all of them, some of them, how many. */
import { comparePath, formatRows } from '../compare.ts';
import { NETFILTER_HOOKS } from '../events.ts';
import { HOOKS } from '../hooks.ts';
import { formatStep, type Path, type PathStep, parsePath, parseStep, stepMatches } from '../path.ts';
import { formatPacket, formatTuple, nearSymbols } from '../trace.ts';
import type { PacketPath } from '../types.ts';
import { WAYS, type Way } from '../ways.ts';
import { type Evidence, each, listed, undecided, type Verdict } from './judge.ts';

export interface PathOptions {
	/** hops that are left out of the comparison, e.g. `host:eth0 qdisc`; none without */
	ignoring?: readonly string[];
	/**
	 * `same` (without): each packet takes the path by itself. `another`: the path goes on with the packets that it was made into,
	 * by a proxy or in a tunnel, known by the nonce in their payload. `any`: all packets together, whose hops in time may have others
	 * between those of the path.
	 */
	packets?: keyof typeof WAYS;
}

/**
 * How many hops of a kind each packet may take, by what their names say behind the place, or by its last word: `{ backlog: 0, 'ip6 forward': 1,
 * netfilter: 0 }`. A whole name does too: `{ 'host backlog': 0 }`.
 */
export type HopCounts = Record<string, number>;

export function followsPath(
	evidence: Evidence,
	expected: Path | string,
	{ ignoring = [], packets = 'same' }: PathOptions = {},
): Verdict {
	const { steps } = typeof expected === 'string' ? parsePath(expected) : expected;
	const wanted = packets === 'any' ? withGaps(steps) : steps;
	const ignored = ignoring.map(parseStep);
	const ways = WAYS[packets](evidence.packets).filter((way) => startsAt(wanted[0], way));
	if (!ways.length) {
		const start = `\`${placeOf(formatStep(wanted[0]!))}\``;
		return undecided(evidence, `no packet starts at ${start}; traced were\n\n${listed(evidence.packets).join('\n')}`);
	}
	const compare = ({ hops }: Way) =>
		comparePath(
			wanted,
			hops.filter((hop) => !ignored.some((step) => stepMatches(step, hop))),
		);
	return each(
		evidence,
		ways,
		(way) => compare(way).same,
		(odd) =>
			[
				evidence.isNot ? 'a packet took the path that it should not have taken' : 'a packet did not follow the path',
				'',
				...listed(odd.packets, ({ packet }) => formatTuple(packet)),
				'',
				...formatRows(compare(odd).rows, { left: 'expected', right: 'taken' }).map((line) => `  ${line}`),
				'',
				`  ignored: ${ignored.map((step) => `\`${formatStep(step)}\``).join(', ') || 'nothing'}`,
			].join('\n'),
	);
}

function withGaps(steps: readonly PathStep[]): PathStep[] {
	return ['any', ...steps.flatMap((step): PathStep[] => (step === 'any' ? [] : [step, 'any']))];
}

/** Where the packet was first seen, whatever its first hop is called: `drop NO_SOCKET` names no place. */
function startsAt(step: PathStep | undefined, { packets, hops }: Way): boolean {
	// it took no hop before it was cut up: its pieces take them, and are packets of their own
	if (!hops.length && packets.every(({ fate }) => fate === 'segmented')) return false;
	if (step === undefined || step === 'any') return true;
	const origin = packets[0]?.events[0]?.netns ?? hops[0]?.netns;
	return origin === placeOf(step.hop) || step.hop.startsWith('drop ');
}

function placeOf(hop: string | undefined): string | undefined {
	return hop?.split(/[ :]/, 1)[0];
}

export function traverses(evidence: Evidence, hopOrSymbol: string): Verdict {
	const { packets, isNot } = evidence;
	const isSymbol = /^\w+$/.test(hopOrSymbol);
	const step = parseStep(hopOrSymbol);
	const passes = ({ hops, events }: PacketPath) =>
		isSymbol
			? [...hops, ...events].some(({ symbol }) => symbol === hopOrSymbol)
			: hops.some((hop) => stepMatches(step, hop));
	if (isNot && !packets.some(passes)) {
		const unwatched = isSymbol ? symbolUnwatched(evidence, hopOrSymbol) : kindUnwatched(evidence, step.hop);
		if (unwatched) return undecided(evidence, unwatched);
	}
	const said = isNot ? 'went' : 'did not go';
	return each(
		evidence,
		packets,
		passes,
		(odd) => `a packet ${said} through \`${hopOrSymbol}\`\n\n  ${formatPacket(odd)}`,
	);
}

export function takesHops(evidence: Evidence, counts: HopCounts): Verdict {
	if (!Object.keys(counts).length) return undecided(evidence, 'no kind of hop is named: `toTakeHops({ backlog: 0 })`');
	const unwatched = Object.entries(counts)
		.filter(([, count]) => evidence.isNot || count === 0)
		.map(([kind]) => kindUnwatched(evidence, kind))
		.find((reason) => reason !== null);
	if (unwatched) return undecided(evidence, unwatched);
	const expected = evidence.isNot ? 'which should differ' : `expected: ${JSON.stringify(counts)}`;
	const taken = (packet: PacketPath) =>
		Object.fromEntries(Object.keys(counts).map((kind) => [kind, countHops(packet, kind)]));
	return each(
		evidence,
		evidence.packets,
		(packet) => Object.entries(taken(packet)).every(([kind, count]) => counts[kind] === count),
		(odd) => `hops taken: ${JSON.stringify(taken(odd))}, ${expected}\n\n  ${formatPacket(odd)}`,
	);
}

function countHops({ hops }: PacketPath, kind: string): number {
	return hops.filter(({ hop }) => hop === kind || isKind(kindOf(hop), kind)).length;
}

/** `ip6 forward` of `host ip6 forward`: what happened, without the place. */
function kindOf(hop: string): string {
	if (hop.startsWith('drop ')) return 'drop';
	return hop.replace(/^\S+ (?:cgroup )?/, '').replace(/^netfilter .*/, 'netfilter');
}

/** `forward` is `ip forward` and `ip6 forward`. */
function isKind(kind: string, wanted: string): boolean {
	return kind === wanted || kind.endsWith(` ${wanted}`);
}

/** Programs are no function of the kernel's: `untraced` says which of them nothing watched. */
const OF_PROGRAMS = ['ingress', 'egress'];

/** Why hops of this name, or of this kind, cannot be denied: null where they can. */
function kindUnwatched({ symbols, reasons }: Evidence, wanted: string): string | null {
	if (!symbols) return null;
	if (wanted.startsWith('drop ')) return reasons && reasonUnknown(reasons, wanted.slice('drop '.length));
	const seen = HOOKS.filter(({ symbol, kind }) => symbols.includes(symbol) && kind !== 'program' && kind !== 'note');
	const kinds = [...new Set([...OF_PROGRAMS, ...seen.map(({ kind }) => kind)])];
	if (kinds.some((kind) => isKind(kind, wanted) || isHopOf(kind, wanted))) return null;
	return `nothing watched \`${wanted}\`; the hops that were watched are ${kinds.join(', ')}`;
}

/** Whether a hop of this kind can have that name. */
function isHopOf(kind: string, name: string): boolean {
	if (kind === 'netfilter') return new RegExp(`^\\S+ netfilter (?:${NETFILTER_HOOKS.join('|')})$`).test(name);
	if (OF_PROGRAMS.includes(kind)) return new RegExp(`^\\S+(?::\\S+| cgroup) ${kind}$`).test(name);
	const ofDevice = ['xmit', 'receive', 'qdisc', 'neighbour'].includes(kind);
	return new RegExp(`^[^\\s:]+${ofDevice ? ':\\S+' : ''} ${kind}$`).test(name);
}

/** A kernel that has no reasons, or not this one, cannot have given it. A function's name is what it gives in its place. */
function reasonUnknown(reasons: readonly string[], wanted: string): string | null {
	if (reasons.includes(wanted) || /[a-z]/.test(wanted)) return null;
	const [near] = nearSymbols(reasons, wanted);
	return `this kernel drops for no reason \`${wanted}\`${near ? `: did you mean \`${near}\`?` : ''}`;
}

function symbolUnwatched({ symbols }: Evidence, wanted: string): string | null {
	if (!symbols || symbols.includes(wanted)) return null;
	const [near] = nearSymbols(symbols, wanted);
	return `nothing watched \`${wanted}\`${near ? `: did you mean \`${near}\`?` : `; watched were ${symbols.join(', ')}`}`;
}
