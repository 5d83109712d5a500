/** Two ways of the same packet side by side: where they agree, and what only one of them took. */
import { stretches } from '../trace/compare.ts';
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
	const sameName = (mine: Taken, other: Taken) => mine.hop.hop === other.hop.hop;
	return stretches(numbered(left), numbered(right), sameName).flatMap((stretch) =>
		stretch.same
			? stretch.left.map((mine, at) => ({ left: mine, right: stretch.right[at]!, shared: true }))
			: beside(stretch.left, stretch.right),
	);
}

/** What only the right way took. */
export function bypassed(left: readonly Hop[], right: readonly Hop[]): Hop[] {
	return align(left, right).flatMap((pair) => (!pair.shared && pair.right ? [pair.right.hop] : []));
}

function numbered(hops: readonly Hop[]): Taken[] {
	return hops.map((hop, index) => ({ hop, number: index + 1 }));
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
