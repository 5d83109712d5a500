/**
 * What a test may say of packets: that they followed a path, went through a hop or not, kept their socket, stayed in their sender's
 * context. Each judges all packets it is given, and `.not` means none of them. A claim about no packet at all never holds, nor
 * does a negative one where events were lost or where nothing watched the symbol it names.
 */
import { expect, type MatcherState } from 'vitest';
import { PathproofError } from '../../kernels/errors.ts';
import { comparePath, formatHop, formatStep, type Path, parsePath, parseStep, type Row, stepMatches } from './path.ts';
import { formatPacket, formatTuple, nearSymbols, Trace } from './trace.ts';
import type { Hop, PacketPath } from './types.ts';

/** A whole trace, its `out` or `in`, or one packet. */
export type Packets = Trace | PacketPath | readonly PacketPath[];

export interface PathOptions {
	/** hops that are left out of the comparison, e.g. `host:eth0 queue`; none without */
	ignoring?: readonly string[];
}

/** How many hops of a kind each packet may take, by the last word of their names: `{ backlog: 0, forward: 1 }`. */
export type HopCounts = Record<string, number>;

interface PathMatchers<R = void> {
	/** Every packet that starts where the path starts took exactly these hops. */
	toFollowPath(expected: Path | string, options?: PathOptions): R;
	/** A hop (`host ip6 forward`, `host:web ingress[→ redirect]`) or a kernel function (`ip6_forward`) is on the way. */
	toTraverse(hopOrSymbol: string): R;
	/** The socket that sent the packet is still attached to it: at one hop, or at every hop before its delivery. */
	toKeepSocket(): R;
	/** No softirq in between: the sender's own call carried the packet through this hop, or through all of them. */
	toStayInContextOfSender(): R;
	/** As many hops of each kind as given. */
	toTakeHops(counts: HopCounts): R;
}

declare module 'vitest' {
	// The parameters are those of the declaration that this one augments.
	interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> extends PathMatchers<R> {}
}

interface Verdict {
	pass: boolean;
	message: () => string;
}

expect.extend({
	toFollowPath(received: Packets, expected: Path | string, { ignoring = [] }: PathOptions = {}): Verdict {
		const wanted = typeof expected === 'string' ? parsePath(expected) : expected;
		const ignored = ignoring.map(parseStep);
		const all = packetsOf(received, 'toFollowPath');
		const start = wanted.steps[0];
		const packets =
			start === undefined || start === 'any'
				? all
				: all.filter((packet) => placeOf(packet.hops[0]?.hop) === placeOf(start.hop));
		if (!packets.length)
			return undecided(
				negated(this),
				`no packet starts at \`${start === 'any' ? '…' : placeOf(start?.hop)}\`${traced(all)}`,
			);
		const compared = packets.map((packet) => ({
			packet,
			...comparePath(
				wanted.steps,
				packet.hops.filter((hop) => !ignored.some((step) => stepMatches(step, hop))),
			),
		}));
		if (negated(this)) {
			const followed = compared.find(({ follows }) => follows);
			return {
				pass: followed !== undefined,
				message: () => `a packet took the path that it should not have taken\n\n  ${formatPacket(followed!.packet)}`,
			};
		}
		const astray = compared.find(({ follows }) => !follows);
		return {
			pass: astray === undefined,
			message: () =>
				[
					'a packet did not follow the path',
					'',
					`  ${formatTuple(astray!.packet.packet)}${lossNote(astray!.packet)}`,
					'',
					...formatRows(astray!.rows, astray!.differs),
					'',
					`  ignored: ${ignored.length ? ignored.map((step) => `\`${formatStep(step)}\``).join(', ') : 'nothing'}`,
				].join('\n'),
		};
	},

	toTraverse(received: Packets, hopOrSymbol: string): Verdict {
		const packets = packetsOf(received, 'toTraverse');
		if (!packets.length) return undecided(negated(this), 'no packet was traced');
		const isSymbol = /^\w+$/.test(hopOrSymbol);
		const step = parseStep(hopOrSymbol);
		const traverses = (packet: PacketPath) =>
			packet.hops.some((hop) => (isSymbol ? hop.symbol === hopOrSymbol : stepMatches(step, hop)));
		if (!negated(this)) {
			const missing = packets.find((packet) => !traverses(packet));
			return {
				pass: !missing,
				message: () => `a packet did not go through \`${hopOrSymbol}\`\n\n  ${formatPacket(missing!)}`,
			};
		}
		const passing = packets.find(traverses);
		if (passing)
			return { pass: true, message: () => `a packet went through \`${hopOrSymbol}\`\n\n  ${formatPacket(passing)}` };
		if (isSymbol && received instanceof Trace && !received.symbols.includes(hopOrSymbol)) {
			const near = nearSymbols(received.symbols, hopOrSymbol);
			return undecided(
				true,
				`nothing watched \`${hopOrSymbol}\`${near.length ? `: did you mean \`${near[0]}\`?` : `; watched were ${received.symbols.join(', ')}`}`,
			);
		}
		return lossless(packets, true);
	},

	toKeepSocket(received: Packets | Hop): Verdict {
		return judgeHops(negated(this), received, 'toKeepSocket', {
			holds: (hop) => hop.socket,
			lacks: 'had lost its socket',
			has: 'still had its socket',
		});
	},

	toStayInContextOfSender(received: Packets | Hop): Verdict {
		return judgeHops(negated(this), received, 'toStayInContextOfSender', {
			holds: (hop) => !hop.softirq,
			lacks: 'ran in softirq and not in the context of the sender',
			has: 'ran in the context of the sender',
		});
	},

	toTakeHops(received: Packets, counts: HopCounts): Verdict {
		const packets = packetsOf(received, 'toTakeHops');
		if (!packets.length) return undecided(negated(this), 'no packet was traced');
		const taken = packets.map((packet) =>
			Object.fromEntries(Object.keys(counts).map((kind) => [kind, countHops(packet, kind)])),
		);
		const same = (index: number) => Object.entries(counts).every(([kind, count]) => taken[index]![kind] === count);
		const odd = packets.findIndex((_, index) => (negated(this) ? same(index) : !same(index)));
		if (odd < 0) return lossless(packets, negated(this));
		const message = () =>
			`hops taken: ${JSON.stringify(taken[odd])}, ${negated(this) ? 'which should differ' : `expected: ${JSON.stringify(counts)}`}\n\n  ${formatPacket(packets[odd]!)}`;
		return { pass: negated(this), message };
	},
});

function packetsOf(received: unknown, matcher: string): readonly PacketPath[] {
	const packets = received instanceof Trace ? received.packets : Array.isArray(received) ? received : [received];
	if (packets.every((packet) => typeof packet === 'object' && packet !== null && 'hops' in packet)) return packets;
	throw new PathproofError(`${matcher} judges a trace or its packets, and not ${typeof received}`, {
		stage: 'usage',
		hint: 'await the stimulus: `expect(await web.ping(peer))`',
	});
}

function placeOf(hop: string | undefined): string | undefined {
	return hop?.split(/[ :]/, 1)[0];
}

/** Neither the claim nor its negation holds. */
function undecided(isNot: boolean, message: string): Verdict {
	return { pass: isNot, message: () => message };
}

/** What was not seen may yet have happened where events were lost. */
function lossless(packets: readonly PacketPath[], isNot: boolean): Verdict {
	const lossy = packets.find((packet) => packet.lostEvents > 0);
	if (lossy)
		return undecided(isNot, `nothing can be said of a packet whose events were lost\n\n  ${formatPacket(lossy)}`);
	return { pass: !isNot, message: () => '' };
}

function lossNote(packet: PacketPath): string {
	return packet.lostEvents ? ` (${packet.lostEvents} events lost: raise the tracer's ring buffer)` : '';
}

function traced(packets: readonly PacketPath[]): string {
	return packets.length
		? `; traced were\n\n${packets.map((packet) => `  ${formatPacket(packet)}`).join('\n')}`
		: ': nothing was traced';
}

function countHops(packet: PacketPath, kind: string): number {
	return packet.hops.filter((hop) => hop.hop === kind || hop.hop.endsWith(` ${kind}`)).length;
}

function judgeHops(
	isNot: boolean,
	received: Packets | Hop,
	matcher: string,
	{ holds, lacks, has }: { holds: (hop: Hop) => boolean; lacks: string; has: string },
): Verdict {
	const hops = isHop(received)
		? [received]
		: packetsOf(received, matcher).flatMap((packet) => packet.hops.filter(({ hop }) => !hop.endsWith(' deliver')));
	if (!hops.length) return undecided(isNot, 'no packet was traced');
	const odd = hops.find((hop) => holds(hop) === isNot);
	return {
		pass: odd ? isNot : !isNot,
		message: () => `the packet ${isNot ? has : lacks} at \`${formatHop(odd!)}\` (${odd!.symbol})`,
	};
}

function isHop(received: Packets | Hop): received is Hop {
	return typeof received === 'object' && received !== null && 'hop' in received;
}

/** Expected beside taken, the first difference marked. */
function formatRows(rows: readonly Row[], differs: number): string[] {
	const lines = rows.map(
		({ expected, taken }) =>
			[expected ? formatStep(expected) : '(the end)', taken ? formatHop(taken) : '(the end)'] as const,
	);
	const width = Math.max('expected'.length, ...lines.map(([expected]) => expected.length));
	const line = (mark: string, left: string, right: string) => `  ${mark} ${left.padEnd(width)}  │ ${right}`.trimEnd();
	return [
		line(' ', 'expected', 'taken'),
		...lines.map(([left, right], index) => line(index < differs ? ' ' : index === differs ? '≠' : '·', left, right)),
	];
}

/** vitest leaves `isNot` undefined where there is no `.not`, though it is declared a boolean. */
function negated({ isNot }: MatcherState): boolean {
	return Boolean(isNot);
}
