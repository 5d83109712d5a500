/** What was measured of a lab as a row of the table. Pure. */
import type { PerfDocument } from '../schema/cost.ts';
import type { Device, Forward } from '../types.ts';
import { type BudgetFile, budgetName, figuresOf, judge } from './budget.ts';
import { medianOf, spreadOf } from './figures.ts';
import { type Cost, sumOf } from './measure.ts';
import type { Other } from './others.ts';
import { talkShare } from './talk.ts';
import type { Spent } from './watched.ts';
import { PARTS, SIDES, type Side } from './words.ts';

export type PerfRow = PerfDocument['rows'][number];

export interface Cell {
	device: Device | Other['device'];
	forward: Forward | Other['forward'];
}

/** A lab, and what it cost in each of its forks. */
export interface Measured {
	cell: Cell;
	costs: readonly Cost[];
}

/** `bare`: of device `none` on the same kernel. Of each figure the forks' median. */
export function perfRow({ cell, costs }: Measured, bare: Measured, budgets: BudgetFile | null): PerfRow {
	const median = (of: (cost: Cost) => number) => round(medianOf(costs.map(of)));
	const [total, host] = [median((cost) => cost.total), median(ofHost)];
	const bareHost = medianOf(bare.costs.map(ofHost));
	const { kernel, workload, programs } = costs[0]!;
	return {
		kernel,
		...cell,
		instructionsPerTransaction: host,
		overNone: medianOf(costs.map(ofHost)) / bareHost - 1,
		talk: talkOver(cell),
		added: round(medianOf(costs.map((cost) => cost.total)) - medianOf(bare.costs.map((cost) => cost.total))),
		user: median(({ spent }) => spent.host.user),
		system: median(({ spent }) => spent.host.system + spent.host.hardirq),
		hardirq: median(({ spent }) => spent.host.hardirq),
		softirq: median(({ spent }) => spent.host.softirq),
		peer: median(({ spent }) => sumOf(spent.peer)),
		other: median(({ spent }) => sumOf(spent.other)),
		sides: bySide((side) =>
			Object.fromEntries(PARTS.map((part) => [part, median(({ spent }) => spent[side][part])])),
		) as Record<Side, Spent>,
		total,
		idle: median(({ spent }) => spent.host.idle + spent.peer.idle + spent.other.idle),
		contextSwitches: median(({ counts }) => counts.contextSwitches),
		softirqs: median(({ counts }) => Object.values(counts.softirqsRun).reduce((sum, each) => sum + each, 0)),
		backlogHops: median(({ counts }) => backlogHops(counts.backlogs)),
		programs: Object.fromEntries(
			Object.keys(programs).map((name) => [name, median(({ programs }) => programs[name]?.instructions ?? 0)]),
		),
		watching: median(({ watching }) => watching.total),
		spread: costs.length > 1 ? spreadOf(costs.map((cost) => cost.total)) : null,
		budget: judge(budgets, workload, budgetName(workload, cell), figuresOf(costs)),
	};
}

const ofHost = ({ spent }: Cost) => sumOf(spent.host);

function talkOver(cell: Cell): number | null {
	const share = talkShare(cell);
	return share && share.all - 1;
}

function bySide<T>(of: (side: Side) => T): Record<Side, T> {
	return Object.fromEntries(SIDES.map((side) => [side, of(side)])) as Record<Side, T>;
}

/** From the uplink to the container's socket: what the host and its container queue, but for the wire's own. */
function backlogHops(backlogs: Record<string, number>): number {
	const inside = Object.entries(backlogs).filter(([place]) => place.startsWith('web:'));
	return inside.reduce((sum, [, count]) => sum + count, 0);
}

const round = (value: number) => Math.round(value * 10) / 10;
