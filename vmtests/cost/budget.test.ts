/** The budgets of fixtures/budgets hold: what a transaction costs is what it cost when they were accepted. In guest instructions. */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { budgetName } from '../support/cost/budget.ts';
import { readBudgets } from '../support/cost/budget-files.ts';
import { COUNTED, measureCost } from '../support/cost/measure.ts';
import { TALK } from '../support/cost/workload.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';

test.for([
	{ device: 'veth', forward: 'stack' },
	{ device: 'veth', forward: 'redirect' },
	{ device: 'netkit-l2', forward: 'redirect' },
] as const)(
	'a transaction over $device by $forward costs what its budget says, part by part and program by program',
	{
		tags: [FULL],
		timeout: 900_000,
	},
	async (cell, { lab, kernel, requires, skip }) => {
		await requires(...DEVICE_NEEDS[cell.device]);
		const name = budgetName(TALK, cell);
		skip(
			!readBudgets(kernel.id)?.budgets[name],
			`no budget is kept of ${name}: npx pathproof perf --kernel ${kernel.id} --accept`,
		);
		expect(await measureCost(await lab({ ...COUNTED, ...cell }), TALK)).toStayWithinBudget(name);
	},
);
