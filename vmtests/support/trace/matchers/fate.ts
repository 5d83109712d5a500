/** What became of packets: where each was dropped and why, and whether a whole flow is accounted for. */
import { formatHop, parseStep, stepMatches } from '../path.ts';
import { formatPacket } from '../trace.ts';
import type { Fate, Hop, PacketPath } from '../types.ts';
import { type Evidence, each, listed, type Verdict } from './judge.ts';

/** How many packets came to what end; a fate that is not named may be any number's. */
export type FateCounts = Partial<Record<Fate, number>>;

interface Drop {
	/** the last hop before it, or the program that dropped; null where nothing was seen before */
	at: Hop | null;
	reason: string;
	/** null where a program dropped, and the kernel said nothing */
	function: string | null;
}

const DROP = 'drop ';
const DROPPING_VERDICTS = ['drop', 'aborted'];

/** How a packet ended, where it ended in a drop. */
function dropOf({ hops }: PacketPath): Drop | null {
	const [before, last] = [hops.at(-2) ?? null, hops.at(-1)];
	if (last?.hop.startsWith(DROP)) return { at: before, reason: last.hop.slice(DROP.length), function: last.symbol };
	if (last?.verdict && DROPPING_VERDICTS.includes(last.verdict))
		return { at: last, reason: last.verdict, function: null };
	return null;
}

/** What a kernel calls a drop of which it says no more (from 5.17). */
const NO_REASON = 'NOT_SPECIFIED';

/**
 * Where the kernel gives no reason, the function that dropped stands for it: before 5.17 `reason` is that already. What a compiler made
 * of a function (`.constprop.0`, `.isra.0`) bears its name.
 */
function namesOf({ reason, function: dropper }: Drop): string[] {
	const names = reason === NO_REASON && dropper ? [reason, dropper] : [reason];
	return names.flatMap((name) => [name, name.split('.')[0]!]);
}

export function isDroppedAt(evidence: Evidence, hop: string, reason: string | readonly string[]): Verdict {
	const step = parseStep(hop);
	const reasons = [reason].flat();
	const holds = (packet: PacketPath) => {
		const drop = dropOf(packet);
		return (
			drop?.at !== null &&
			drop?.at !== undefined &&
			stepMatches(step, drop.at) &&
			namesOf(drop).some((name) => reasons.includes(name))
		);
	};
	const wanted = `at \`${hop}\` for ${reasons.join(' or ')}`;
	return each(evidence, evidence.packets, holds, (odd) => {
		const head = evidence.isNot
			? `a packet was dropped ${wanted}, as it should not have been`
			: `a packet was not dropped ${wanted}, but ${formatEnd(odd)}`;
		return `${head}\n\n  ${formatPacket(odd)}`;
	});
}

function formatEnd(packet: PacketPath): string {
	const drop = dropOf(packet);
	if (!drop) return `ended ${packet.fate} at ${formatPlace(packet.hops.at(-1))}`;
	const by = drop.function && drop.function !== drop.reason ? ` by \`${drop.function}\`` : '';
	return `at ${formatPlace(drop.at)} for ${drop.reason}${by}`;
}

function formatPlace(hop: Hop | null | undefined): string {
	return hop ? `\`${formatHop(hop)}\`` : 'no hop that was seen';
}

/** An address, or a number that nobody could name. */
const NAMELESS = /^(?:0x|REASON_\d+$)/;

/** A drop explains a packet's end where its place has a name, and its reason too. */
function isExplained(packet: PacketPath): boolean {
	if (packet.fate !== 'dropped') return packet.fate !== 'unexplained';
	const drop = dropOf(packet);
	return Boolean(drop?.at && namesOf(drop).some((name) => name !== NO_REASON && !NAMELESS.test(name)));
}

export function isAccountedFor(evidence: Evidence, expected: FateCounts = {}): Verdict {
	const { packets, isNot } = evidence;
	const unexplained = packets.filter((packet) => !isExplained(packet));
	const counts = countFates(packets);
	const asExpected = Object.entries(expected).every(([fate, count]) => (counts[fate as Fate] ?? 0) === count);
	const pass = !unexplained.length && asExpected;
	const message = () =>
		[
			isNot
				? `${packets.length} of ${packets.length} packets are accounted for, as they should not be`
				: unexplained.length
					? `${unexplained.length} of ${packets.length} packets are not accounted for`
					: `${packets.length} of ${packets.length} packets are accounted for, but not as expected`,
			'',
			...formatCounts(counts, expected),
			...(unexplained.length ? ['', ...listed(unexplained)] : []),
		].join('\n');
	return { pass, message };
}

function countFates(packets: readonly PacketPath[]): FateCounts {
	return Object.fromEntries(
		Map.groupBy(packets, ({ fate }) => fate)
			.entries()
			.map(([fate, all]) => [fate, all.length]),
	);
}

function formatCounts(counts: FateCounts, expected: FateCounts): string[] {
	const fates = Object.keys({ ...counts, ...expected }) as Fate[];
	const lines = fates.map((fate) => ({ fate, count: String(counts[fate] ?? 0), wanted: expected[fate] }));
	const widths = [
		Math.max(...lines.map(({ fate }) => fate.length)),
		Math.max(...lines.map(({ count }) => count.length)),
	] as const;
	return lines.map(
		({ fate, count, wanted }) =>
			`  ${fate.padEnd(widths[0])}  ${count.padStart(widths[1])}${wanted === undefined ? '' : `  expected ${wanted}`}`,
	);
}
