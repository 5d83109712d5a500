/** Two whole flows: the distinct ways that their packets took, each direction for itself. Who sent to whom does not count. */
import { type Comparison, compareWays } from './compare.ts';
import type { Step } from './path.ts';
import type { PacketPath } from './types.ts';

/** What of a packet says which way it took. */
export interface TakenWay {
	direction: PacketPath['direction'];
	hops: readonly Step[];
}

/** A way of one flow beside the most alike of the other's. */
export interface WayPair extends Comparison<Step> {
	direction: PacketPath['direction'];
}

const DIRECTIONS = ['out', 'in'] as const;

/**
 * TCP sends as many packets as its timing makes, so how many took a way does not count. In each direction the most alike come first; a way
 * without a counterpart stands alone.
 */
export function compareFlows(left: readonly TakenWay[], right: readonly TakenWay[]): WayPair[] {
	return DIRECTIONS.flatMap((direction) => {
		const ways = (flow: readonly TakenWay[]) => distinct(flow.filter((taken) => taken.direction === direction));
		return pairUp(ways(left), ways(right)).map((comparison) => ({ direction, ...comparison }));
	});
}

function distinct(ways: readonly TakenWay[]): (readonly Step[])[] {
	const unlike: (readonly Step[])[] = [];
	for (const { hops } of ways) if (!unlike.some((other) => compareWays(other, hops).same)) unlike.push(hops);
	return unlike;
}

/** Equal ways first, then the most alike; what remains has nothing beside it. */
function pairUp(left: readonly (readonly Step[])[], right: readonly (readonly Step[])[]): Comparison<Step>[] {
	const candidates = left
		.flatMap((one) => right.map((other) => ({ one, other, comparison: compareWays(one, other) })))
		.sort((a, b) => alikeness(b.comparison) - alikeness(a.comparison));
	const paired = new Set<readonly Step[]>();
	const pairs: Comparison<Step>[] = [];
	for (const { one, other, comparison } of candidates) {
		if (paired.has(one) || paired.has(other)) continue;
		paired.add(one).add(other);
		pairs.push(comparison);
	}
	const alone = [
		...left.filter((way) => !paired.has(way)).map((way) => compareWays(way, [])),
		...right.filter((way) => !paired.has(way)).map((way) => compareWays([], way)),
	];
	return [...pairs, ...alone];
}

/** The share of hops that are the same, 1 where all are. */
function alikeness({ rows, same }: Comparison<Step>): number {
	return same ? 1 : rows.filter((row) => row.same).length / rows.length;
}
