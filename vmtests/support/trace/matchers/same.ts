/** One flow as another, except: for two kernels, two devices, two ways of forwarding. */
import { formatRows } from '../compare.ts';
import { compareFlows } from '../flows.ts';
import { parseStep, type Step, stepMatches } from '../path.ts';
import type { PacketPath } from '../types.ts';
import { type Evidence, gather, type Packets, shortOf, undecided, type Verdict } from './judge.ts';

export interface SamePathOptions {
	/** hops of the other that are not taken here */
	without?: readonly string[];
	/** hops that are taken here, and not by the other */
	with?: readonly string[];
	/** hops that are left out of the comparison on both sides, taken or not */
	ignoring?: readonly string[];
}

export function followsSamePathAs(
	evidence: Evidence,
	other: Packets,
	{ without = [], with: additional = [], ignoring = [] }: SamePathOptions = {},
): Verdict {
	const theirs = gather(other, 'toFollowSamePathAs', evidence.isNot);
	const short = shortOf(theirs, true);
	if (short !== null) return undecided(evidence, `of the other: ${short}`);
	const wrong = [
		...without.map((step) =>
			wrongException(step, { onlyOn: theirs, notOn: evidence, place: 'there', elsewhere: 'here' }),
		),
		...additional.map((step) =>
			wrongException(step, { onlyOn: evidence, notOn: theirs, place: 'here', elsewhere: 'there' }),
		),
	].find((reason) => reason !== null);
	if (wrong) return undecided(evidence, wrong);
	const ignored = ignoring.map(parseStep);
	const pairs = compareFlows(
		leaveOut(theirs.packets, [...without.map(parseStep), ...ignored]),
		leaveOut(evidence.packets, [...additional.map(parseStep), ...ignored]),
	);
	const odd = pairs.find(({ same }) => !same);
	const excepted = [
		...without.map((step) => `without \`${step}\``),
		...additional.map((step) => `with \`${step}\``),
		...ignoring.map((step) => `ignoring \`${step}\``),
	];
	const message = () =>
		[
			odd ? `packets took another way ${odd.direction}` : 'packets took the same ways, as they should not have',
			'',
			...formatRows((odd ?? pairs[0]!).rows, { left: 'the other', right: 'here' }).map((line) => `  ${line}`),
			'',
			`  except: ${excepted.join(', ') || 'nothing'}`,
		].join('\n');
	return { pass: !odd, message };
}

interface Exception {
	onlyOn: Evidence;
	notOn: Evidence;
	place: string;
	elsewhere: string;
}

/** An exception that excepts nothing is a mistake of the test, or a difference that is no more. */
function wrongException(text: string, { onlyOn, notOn, place, elsewhere }: Exception): string | null {
	const step = parseStep(text);
	const takenBy = ({ packets }: Evidence) => packets.some(({ hops }) => hops.some((hop) => stepMatches(step, hop)));
	if (!takenBy(onlyOn)) return `\`${text}\` is excepted as taken only ${place}, and is not taken ${place}`;
	if (takenBy(notOn)) return `\`${text}\` is excepted as taken only ${place}, and is taken ${elsewhere} as well`;
	return null;
}

function leaveOut(packets: readonly PacketPath[], steps: readonly Step[]): PacketPath[] {
	return packets.map((packet) => ({
		...packet,
		hops: packet.hops.filter((hop) => !steps.some((step) => stepMatches(step, hop))),
	}));
}
