/** What it takes the verifier to let each program of the datapath in: `npx pathproof perf --verifier` prints it. */
import { expect, test } from 'pathproof';
import { readBudgets } from '../support/cost/budget-files.ts';
import { growthOf } from '../support/cost/verified.ts';
import { askVerifier, wordsOf } from '../support/cost/verifier.ts';

test('no program of the datapath takes the verifier more than its budget', async ({ vm, kernel, skip }) => {
	const budget = readBudgets(kernel.id)?.verifier;
	skip(!budget, `no budget is kept of it: npx pathproof perf --verifier --kernel ${kernel.id} --accept`);
	const table = await askVerifier(vm);
	expect(Object.keys(table.programs)).toContain('ingress_peer');
	expect(growthOf(budget!, table).map((each) => wordsOf(kernel.id, each))).toEqual([]);
});
