/** The document of `pathproof perf` as tables. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { PerfDocument } from '../schema/cost.ts';
import { acceptCommand, showMoves } from './budget-words.ts';
import { type Change, changes } from './neighbours.ts';
import type { PerfRow } from './perf-rows.ts';
import type { Workload } from './workload.ts';

/** By heading. */
const FIGURES: Record<string, (row: PerfRow) => string> = {
	user: ({ user }) => user.toFixed(0),
	system: ({ system }) => system.toFixed(0),
	softirq: ({ softirq }) => softirq.toFixed(0),
	host: ({ instructionsPerTransaction }) => instructionsPerTransaction.toFixed(0),
	'over none': ({ overNone }) => percent(overNone),
	'the talk': ({ talk }) => (talk === null ? '' : percent(talk)),
	peer: ({ peer }) => peer.toFixed(0),
	total: ({ total }) => total.toFixed(0),
	added: ({ added }) => `${added < 0 ? '' : '+'}${added.toFixed(0)}`,
	hops: ({ backlogHops }) => String(backlogHops),
	spread: ({ spread }) => (spread === null ? '' : `${(100 * spread).toFixed(3)} %`),
	budget: ({ budget }) => (budget ? (budget.within ? 'within' : '✗ out') : '–'),
};
const LEGEND = [
	'host: the container and its host, in user mode, in the kernel, in softirqs; peer: the machine beyond the uplink; added: to the total of',
	'none. The talk: what it found in CPU time of its host, on hardware. Hops: packets that waited for the container in a backlog. –: no budget is kept.',
];

export function perfTable({ qemu, accel, profile, workload, rows, failed = [] }: PerfDocument): string {
	const { name, flows, threads, bytes, transactions: count, warm } = workload;
	const title = `guest instructions per transaction: ${name}, ${flows} flows, ${threads} threads, ${bytes} bytes, ${count} transactions`;
	const head = ['kernel', 'device', 'forward'];
	const cells = rows.map((row) => [
		row.kernel,
		row.device,
		row.forward,
		...Object.values(FIGURES).map((of) => of(row)),
	]);
	return [
		styleText('bold', title),
		drawn([...head, ...Object.keys(FIGURES)], cells, head.length),
		...LEGEND,
		`Profile ${profile}, ${accel}, QEMU ${qemu}, one vCPU for all of it. Instructions are not cycles: they say nothing of caches.`,
		...whatChanged(changes(rows)),
		...rows.flatMap((row) => outOfBudget(row, { protocol: name, flows, threads, bytes, count, warm })),
		...failed.map(
			({ kernel, device, forward, why }) => `✗ linux ${kernel}: ${device} ${forward} could not be measured: ${why}`,
		),
	].join('\n');
}

function whatChanged(changed: readonly Change[]): string[] {
	if (!changed.length) return [];
	const cells = changed.map(({ from, to, device, forward, before, after, parts }) => [
		`${from} → ${to}`,
		device,
		forward,
		before.toFixed(0),
		after.toFixed(0),
		percent(after / before - 1),
		parts.map(({ part, by }) => `${part} ${by > 0 ? '+' : ''}${by.toFixed(0)}`).join(', '),
	]);
	const head = ['kernels', 'device', 'forward', 'before', 'after', '', 'of which'];
	return ['', styleText('bold', 'what changed from kernel to kernel: on the host'), drawn(head, cells, 3)];
}

function outOfBudget({ kernel, device, forward, budget }: PerfRow, workload: Workload): string[] {
	if (!budget || budget.within) return [];
	const name = `${workload.protocol}/${device}/${forward}`;
	return [
		'',
		styleText('bold', `✗ linux ${kernel}: ${name} is out of its budget, by more than ${percent(budget.tolerance)}`),
		showMoves(budget.moved),
		`where this is meant to be: ${acceptCommand(kernel, device, workload)}`,
	];
}

function drawn(head: string[], rows: string[][], texts: number): string {
	const table = new Table({
		head,
		style: { head: [], border: [] },
		colAligns: head.map((_, column) => (column < texts ? 'left' : 'right')),
	});
	table.push(...rows);
	return table.toString();
}

function percent(fraction: number): string {
	return `${fraction < 0 ? '' : '+'}${(100 * fraction).toFixed(1)} %`;
}
