/** `expect(cost).toStayWithinBudget('tcp_rr/netkit-l2/redirect')`: what a transaction costs is what fixtures/budgets says of it. */
import { expect } from 'vitest';
import { PathproofError } from '../../../kernels/errors.ts';
import { figuresOf, judge } from './budget.ts';
import { readBudgets } from './budget-files.ts';
import { acceptCommand, showMoves } from './budget-words.ts';
import type { Cost } from './measure.ts';

interface CostMatchers<R = void> {
	/**
	 * Of what `measureCost` answered: its total, its parts and its BPF programs are those of the budget of this name, of its kernel and
	 * the size of its workload, within the budget's tolerance, either way. Throws stage `usage` where none is kept.
	 */
	toStayWithinBudget(name: string): R;
}

declare module 'vitest' {
	// The parameters are those of the declaration that this one augments.
	interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> extends CostMatchers<R> {}
}

expect.extend({ toStayWithinBudget });

function toStayWithinBudget(cost: Cost, name: string): { pass: boolean; message: () => string } {
	const { kernel, workload } = cost;
	const judgement = judge(readBudgets(kernel), workload, name, figuresOf([cost]));
	const mend = acceptCommand(kernel, name.split('/')[1]!, workload);
	if (!judgement)
		throw new PathproofError(`no budget is kept of ${name} with a workload of this size on linux ${kernel}`, {
			stage: 'usage',
			kernel,
			hint: mend,
		});
	const { within, moved, tolerance } = judgement;
	const words = [
		`${name} on linux ${kernel} ${within ? 'is within its budget' : 'is out of its budget'}, ±${100 * tolerance} %`,
		'guest instructions per transaction, and per run of a program; instructions are not cycles',
		showMoves(moved),
		`where this is meant to be: ${mend}`,
	];
	return { pass: within, message: () => words.join('\n') };
}
