/** Two ways beside each other: a path that was expected and the one that was taken, or those of two traces. Pure, as all of this. */
import { formatStep, type PathStep, type Step, stepMatches } from './path.ts';

/** One line of the picture; null where that side has no hop there. */
export interface Row<L = PathStep> {
	left: L | null;
	right: Step | null;
	same: boolean;
}

export interface Comparison<L = PathStep> {
	/** in all rows */
	same: boolean;
	rows: Row<L>[];
}

/** What was expected beside what was taken, from the first hop on; `…` takes as few hops as will do. */
export function comparePath(steps: readonly PathStep[], hops: readonly Step[]): Comparison {
	const { met, at, gaps } = follow(steps, hops);
	const rest = align(steps.slice(met), hops.slice(at), (step, hop) => step !== 'any' && stepMatches(step, hop));
	return comparisonOf([...rowsUntil(steps.slice(0, met), hops.slice(0, at), gaps), ...rest]);
}

/** Two ways that were taken. How a program is attached is its kernel's affair: clsact here, tcx there. */
export function compareWays(left: readonly Step[], right: readonly Step[]): Comparison<Step> {
	return comparisonOf(align(left, right, sameHop));
}

function sameHop(a: Step, b: Step): boolean {
	return a.hop === b.hop && a.program === b.program && a.verdict === b.verdict;
}

function comparisonOf<L>(rows: Row<L>[]): Comparison<L> {
	return { same: rows.every(({ same }) => same), rows };
}

interface Followed {
	/** steps that were met, and hops that they took */
	met: number;
	at: number;
	/** which hop came after each `…` that was met: those before it are the gap's */
	gaps: number[];
}

/** How far the hops follow the steps. Only the last gap met need ever grow: an earlier one leaves as much to follow as it can. */
function follow(steps: readonly PathStep[], hops: readonly Step[]): Followed {
	let furthest: Followed = { met: 0, at: 0, gaps: [] };
	const gaps: number[] = [];
	let [met, at, last] = [0, 0, -1];
	while (met < steps.length || at < hops.length) {
		const [step, hop] = [steps[met], hops[at]];
		if (step === 'any') {
			last = met++;
			gaps.push(at);
		} else if (step && hop && stepMatches(step, hop)) {
			met++;
			at++;
		} else if (last >= 0 && hop) {
			at = gaps.pop()! + 1;
			gaps.push(at);
			met = last + 1;
		} else break;
		if (met > furthest.met || (met === furthest.met && at > furthest.at)) furthest = { met, at, gaps: [...gaps] };
	}
	return furthest;
}

function rowsUntil(steps: readonly PathStep[], hops: readonly Step[], gaps: readonly number[]): Row[] {
	const rows: Row[] = [];
	let [gap, at] = [0, 0];
	for (const step of steps) {
		if (step !== 'any') rows.push({ left: step, right: hops[at++]!, same: true });
		else for (const end = gaps[gap++]!; at < end; at++) rows.push({ left: step, right: hops[at]!, same: true });
	}
	return rows;
}

/** In between what both have, what only the left has stands beside what only the right has. */
function align<L>(left: readonly L[], right: readonly Step[], same: (a: L, b: Step) => boolean): Row<L>[] {
	return stretches(left, right, same).flatMap((stretch) =>
		Array.from({ length: Math.max(stretch.left.length, stretch.right.length) }, (_, at) => ({
			left: stretch.left[at] ?? null,
			right: stretch.right[at] ?? null,
			same: stretch.same,
		})),
	);
}

/** A piece of two ways: what both have, as many of each; or what each has alone. */
export interface Stretch<L, R> {
	left: L[];
	right: R[];
	same: boolean;
}

/** Both ways from end to end, by their longest common subsequence: common pieces and others take turns. */
export function stretches<L, R>(
	left: readonly L[],
	right: readonly R[],
	same: (a: L, b: R) => boolean,
): Stretch<L, R>[] {
	const common = commonFrom(left, right, same);
	const found: Stretch<L, R>[] = [];
	const current = (isSame: boolean): Stretch<L, R> => {
		if (found.at(-1)?.same !== isSame) found.push({ left: [], right: [], same: isSame });
		return found.at(-1)!;
	};
	let [i, j] = [0, 0];
	while (i < left.length || j < right.length) {
		const [mine, other] = [left[i], right[j]];
		if (mine !== undefined && other !== undefined && same(mine, other)) {
			const stretch = current(true);
			stretch.left.push(mine);
			stretch.right.push(other);
			i++;
			j++;
		} else if (mine !== undefined && (other === undefined || common[i + 1]![j]! >= common[i]![j + 1]!)) {
			current(false).left.push(mine);
			i++;
		} else {
			current(false).right.push(other!);
			j++;
		}
	}
	return found;
}

/** `[i][j]`: how many hops two ways have in common from there on. */
function commonFrom<L, R>(left: readonly L[], right: readonly R[], same: (a: L, b: R) => boolean): number[][] {
	const table = Array.from({ length: left.length + 1 }, () => new Array<number>(right.length + 1).fill(0));
	for (let i = left.length - 1; i >= 0; i--) {
		for (let j = right.length - 1; j >= 0; j--) {
			table[i]![j] = same(left[i]!, right[j]!)
				? table[i + 1]![j + 1]! + 1
				: Math.max(table[i + 1]![j]!, table[i]![j + 1]!);
		}
	}
	return table;
}

export interface Titles {
	left: string;
	right: string;
}

/** A line of the picture: `≠` marks the first difference, `·` those behind it. */
export interface DrawnRow {
	mark: ' ' | '≠' | '·';
	left: string;
	right: string;
}

const END = '(the end)';

/** Side by side as text: a side that ends before the other says so once, and a gap shows only the first hops that it took. */
export function drawRows(rows: readonly Row[]): DrawnRow[] {
	const first = rows.findIndex(({ same }) => !same);
	const ends = {
		left: rows.findLastIndex(({ left }) => left) + 1,
		right: rows.findLastIndex(({ right }) => right) + 1,
	};
	const cell = (step: PathStep | null, index: number, end: number) =>
		step ? formatStep(step) : index === end ? END : '';
	const drawn = rows.map(
		({ left, right, same }, index): DrawnRow => ({
			mark: same ? ' ' : index === first ? '≠' : '·',
			left: cell(left, index, ends.left),
			right: cell(right, index, ends.right),
		}),
	);
	return shortenGaps(rows, drawn);
}

const SHOWN_OF_GAP = 8;

function shortenGaps(rows: readonly Row[], drawn: readonly DrawnRow[]): DrawnRow[] {
	const short: DrawnRow[] = [];
	for (let at = 0; at < rows.length; ) {
		const end = rows.findIndex(({ left, same }, index) => index >= at && !(left === 'any' && same));
		const gap = drawn.slice(at, end < 0 ? rows.length : end);
		const more = gap.length - SHOWN_OF_GAP;
		short.push(...gap.slice(0, SHOWN_OF_GAP));
		if (more > 0) short.push({ mark: ' ', left: gap[0]!.left, right: `(${more} more)` });
		at += gap.length;
		if (at < rows.length) short.push(drawn[at++]!);
	}
	return short;
}

/** The picture in lines without colours. */
export function formatRows(rows: readonly Row[], titles: Titles): string[] {
	const drawn = drawRows(rows);
	const width = Math.max(...[titles, ...drawn].map(({ left }) => left.length));
	return [{ mark: ' ', ...titles }, ...drawn].map(({ mark, left, right }) =>
		`${mark} ${left.padEnd(width)}  │ ${right}`.trimEnd(),
	);
}
