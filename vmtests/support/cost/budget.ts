/** What a transaction may cost: the figures that are kept of it, in guest instructions, and what has moved away from them. Pure. */
import { z } from 'zod';
import { medianOf } from './figures.ts';
import type { Cost } from './measure.ts';
import { verifierBudget } from './verified.ts';
import { PARTS, type Part, SIDES } from './words.ts';
import { PROTOCOLS, type Workload } from './workload.ts';

/** Of a budget that is new. Forks differ by a fiftieth of it. */
const TOLERANCE = 0.005;

/** Idling is in no total, and hangs on when the guest was asked. */
const KEPT = PARTS.filter((part) => part !== 'idle') as Exclude<Part, 'idle'>[];

const spent = z.strictObject({ user: z.int(), system: z.int(), softirq: z.int(), hardirq: z.int() });

/** Instructions per transaction; of a program, per run. */
const figures = z.strictObject({
	total: z.int(),
	host: spent,
	peer: spent,
	other: spent,
	programs: z.record(z.string(), z.int()),
});
export type Figures = z.infer<typeof figures>;

const budget = figures.extend({ tolerance: z.number().positive().lt(1) });
export type Budget = z.infer<typeof budget>;

const workload = z.strictObject({
	threads: z.int(),
	flows: z.int(),
	bytes: z.int(),
	warm: z.int(),
	count: z.int(),
});

/** `fixtures/budgets/KERNEL.json` */
export const budgetFile = z.strictObject({
	schema: z.literal(1),
	kernel: z.string(),
	unit: z.literal('guest instructions per transaction, of programs per run; instructions are not cycles'),
	workloads: z.partialRecord(z.enum(PROTOCOLS), workload),
	budgets: z.record(z.string(), budget),
	verifier: verifierBudget.optional(),
});
export type BudgetFile = z.infer<typeof budgetFile>;

export function emptyBudgets(kernel: string): BudgetFile {
	return { schema: 1, kernel, unit: budgetFile.shape.unit.value, workloads: {}, budgets: {} };
}

/** e.g. `tcp_rr/netkit-l2/redirect` */
export function budgetName({ protocol }: Workload, { device, forward }: { device: string; forward: string }): string {
	return `${protocol}/${device}/${forward}`;
}

/** Of each the median of these, which are of one workload and lab. */
export function figuresOf(costs: readonly Cost[]): Figures {
	const median = (of: (cost: Cost) => number) => Math.round(medianOf(costs.map(of)));
	const parts = SIDES.map((side) => [
		side,
		Object.fromEntries(KEPT.map((part) => [part, median(({ spent }) => spent[side][part])])),
	]);
	const programs = Object.keys(costs[0]!.programs).sort();
	return {
		total: median(({ total }) => total),
		...Object.fromEntries(parts),
		programs: Object.fromEntries(
			programs.map((name) => [name, median(({ programs }) => programs[name]?.instructions ?? 0)]),
		),
	};
}

export interface Move {
	/** `total`, `host softirq`, `program egress_neigh` */
	figure: string;
	/** null: it was not there, or is no more */
	budget: number | null;
	measured: number | null;
	beyond: boolean;
}

/**
 * All that is not as the budget has it. `beyond`: by more than the tolerance, either way: of the total, and of a program, that much of
 * itself; of a part, that much of the total, since what one part loses another may gain.
 */
export function movesOf(budget: Budget, measured: Figures): Move[] {
	const [before, after] = [flat(budget), flat(measured)];
	return [...new Set([...before.keys(), ...after.keys()])].flatMap((figure) => {
		const [from = null, to = null] = [before.get(figure), after.get(figure)];
		if (from === to) return [];
		const whole = figure === 'total' || figure.startsWith('program ') ? from : budget.total;
		const beyond = from === null || to === null || Math.abs(to - from) > budget.tolerance * whole!;
		return [{ figure, budget: from, measured: to, beyond }];
	});
}

function flat({ total, programs, ...sides }: Figures): Map<string, number> {
	return new Map([
		['total', total],
		...SIDES.flatMap((side) => KEPT.map((part): [string, number] => [`${side} ${part}`, sides[side][part]])),
		...Object.entries(programs).map(([name, each]): [string, number] => [`program ${name}`, each]),
	]);
}

export interface Judgement {
	tolerance: number;
	moved: Move[];
	within: boolean;
}

/** null: nothing is kept of this lab with a workload of this size. */
export function judge(file: BudgetFile | null, workload: Workload, name: string, measured: Figures): Judgement | null {
	const budget = file && isOf(file, workload) ? file.budgets[name] : undefined;
	if (!budget) return null;
	const moved = movesOf(budget, measured);
	return { tolerance: budget.tolerance, moved, within: !moved.some(({ beyond }) => beyond) };
}

/** What was measured is the budget from now on. What is within it stays as it was, so that the change shows what moved. */
export function accept(
	file: BudgetFile | null,
	{ kernel, workload, measured }: { kernel: string; workload: Workload; measured: Record<string, Figures> },
): BudgetFile {
	const { protocol, ...size } = workload;
	const before = file && isOf(file, workload) ? file.budgets : {};
	const others = Object.entries(file?.budgets ?? {}).filter(
		([name]) => name in before || !name.startsWith(`${protocol}/`),
	);
	const budgets = Object.entries(measured).map(([name, figures]): [string, Budget] => {
		const old = before[name];
		const stays = old && !movesOf(old, figures).some(({ beyond }) => beyond);
		return [name, stays ? old : { tolerance: old?.tolerance ?? TOLERANCE, ...figures }];
	});
	return {
		...(file ?? emptyBudgets(kernel)),
		workloads: { ...file?.workloads, [protocol]: size },
		budgets: sorted({ ...Object.fromEntries(others), ...Object.fromEntries(budgets) }),
	};
}

/** Whether this workload is of the size that the file's budgets of its name are of. */
function isOf({ workloads }: BudgetFile, { protocol, ...size }: Workload): boolean {
	const kept = workloads[protocol];
	return kept !== undefined && (Object.keys(kept) as (keyof typeof kept)[]).every((key) => kept[key] === size[key]);
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
	return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
