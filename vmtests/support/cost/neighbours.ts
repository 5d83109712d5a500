/** What changed from each kernel of a table to the next: of the measured host, and in which parts. Pure. */
import type { PerfRow } from './perf-rows.ts';
import { PARTS, type Part } from './words.ts';

export interface Change {
	/** kernels */
	from: string;
	to: string;
	device: PerfRow['device'];
	forward: PerfRow['forward'];
	/** instructions per transaction */
	before: number;
	after: number;
	/** what it is made of: the parts that moved at all, the largest first */
	parts: { part: Part; by: number }[];
}

/** Of the rows that both kernels have, kernels in the rows' order. */
export function changes(rows: readonly PerfRow[]): Change[] {
	const kernels = [...new Set(rows.map(({ kernel }) => kernel))];
	return kernels.slice(1).flatMap((to, index) => {
		const from = kernels[index]!;
		return rows
			.filter(({ kernel }) => kernel === to)
			.flatMap((row) => {
				const old = rows.find(
					({ kernel, device, forward }) => kernel === from && device === row.device && forward === row.forward,
				);
				return old ? [changeOf(old, row)] : [];
			});
	});
}

function changeOf(old: PerfRow, row: PerfRow): Change {
	const parts = PARTS.filter((part) => part !== 'idle').map((part) => ({
		part,
		by: row.sides.host[part] - old.sides.host[part],
	}));
	return {
		from: old.kernel,
		to: row.kernel,
		device: row.device,
		forward: row.forward,
		before: old.instructionsPerTransaction,
		after: row.instructionsPerTransaction,
		parts: parts.filter(({ by }) => Math.round(by)).toSorted((a, b) => Math.abs(b.by) - Math.abs(a.by)),
	};
}
