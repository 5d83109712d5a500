/** How a budget that was left reads: what moved, part by part, and what to type to accept it. Pure. */
import Table from 'cli-table3';
import type { Move } from './budget.ts';
import { TALK, type Workload } from './workload.ts';

/** A table without lines. */
const EDGES = ['top', 'bottom', 'left', 'mid', 'right'].flatMap((side) =>
	['', '-left', '-mid', '-right'].map((end) => `${side}${end}`),
);
const BARE = { ...Object.fromEntries(EDGES.map((edge) => [edge, ''])), left: ' ', middle: '  ' };

/** A line for each figure that is not as it was; ✗ marks those that moved by more than they may. */
export function showMoves(moves: readonly Move[]): string {
	const table = new Table({
		head: ['', 'budget', 'measured', 'moved', '', ''],
		chars: BARE,
		style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
		colAligns: ['left', 'right', 'right', 'right', 'right', 'left'],
	});
	for (const { figure, budget, measured, beyond } of moves)
		table.push([
			figure,
			budget ?? 'none',
			measured ?? 'none',
			budget === null || measured === null ? '' : signed(measured - budget),
			budget && measured !== null ? `${signed(Math.round((1000 * (measured - budget)) / budget) / 10)} %` : '',
			beyond ? '✗' : '',
		]);
	return table.toString();
}

function signed(figure: number): string {
	return figure > 0 ? `+${figure}` : String(figure);
}

/** What measures the same again and keeps it. */
export function acceptCommand(kernel: string, device: string, workload: Workload): string {
	const options = {
		workload: 'protocol',
		flows: 'flows',
		threads: 'threads',
		bytes: 'bytes',
		transactions: 'count',
	} as const;
	const words = Object.entries(options).flatMap(([option, key]) =>
		workload[key] === TALK[key] ? [] : [`--${option} ${workload[key]}`],
	);
	return ['npx pathproof perf', `--kernel ${kernel}`, `--device ${device}`, ...words, '--accept'].join(' ');
}
