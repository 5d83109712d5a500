/** Two ways of the same packet side by side: where they agree, and what only one of them took. */
import { commonFrom } from '../trace/compare.ts';
import type { Hop } from '../trace/types.ts';

/** A hop and its number on its own way, from 1. */
export interface Taken {
	hop: Hop;
	number: number;
}

/** One step of both ways; null where a way has no hop here. */
export interface Pair {
	left: Taken | null;
	right: Taken | null;
	/** both took this hop */
	shared: boolean;
}

/** Longest common subsequence of the hops' names. What only one took stands beside what only the other took in the same netns. */
export function align(left: readonly Hop[], right: readonly Hop[]): Pair[] {
	const common = commonFrom(left, right, (mine, other) => mine.hop === other.hop);
	const pairs: Pair[] = [];
	let alone: { left: Taken[]; right: Taken[] } = { left: [], right: [] };
	const flush = () => {
		pairs.push(...beside(alone.left, alone.right));
		alone = { left: [], right: [] };
	};
	let [i, j] = [0, 0];
	while (i < left.length || j < right.length) {
		const [mine, other] = [take(left, i), take(right, j)];
		if (mine && other && mine.hop.hop === other.hop.hop) {
			flush();
			pairs.push({ left: mine, right: other, shared: true });
			i++;
			j++;
		} else if (mine && (!other || common[i + 1]![j]! >= common[i]![j + 1]!)) {
			alone.left.push(mine);
			i++;
		} else {
			alone.right.push(other!);
			j++;
		}
	}
	flush();
	return pairs;
}

/** What only the right way took. */
export function bypassed(left: readonly Hop[], right: readonly Hop[]): Hop[] {
	return align(left, right).flatMap((pair) => (!pair.shared && pair.right ? [pair.right.hop] : []));
}

function take(hops: readonly Hop[], at: number): Taken | null {
	const hop = hops[at];
	return hop ? { hop, number: at + 1 } : null;
}

function beside(left: Taken[], right: Taken[]): Pair[] {
	const pairs: Pair[] = [];
	let [i, j] = [0, 0];
	while (i < left.length || j < right.length) {
		const [mine, other] = [left[i] ?? null, right[j] ?? null];
		const apart = mine && other && mine.hop.netns !== other.hop.netns;
		// A way that has left the netns waits for the other to leave it too, so that their boxes stay level.
		const rightFirst = apart && right.slice(j).some(({ hop }) => hop.netns === pairs.at(-1)?.right?.hop.netns);
		const pair = { left: rightFirst ? null : mine, right: apart && !rightFirst ? null : other, shared: false };
		pairs.push(pair);
		if (pair.left) i++;
		if (pair.right) j++;
	}
	return pairs;
}
