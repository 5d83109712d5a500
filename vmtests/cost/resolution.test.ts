/** How small a change of a program's cost budgets see. In guest instructions, which are not cycles. PATHPROOF_SHOW prints the figures. */
import { buildProgram, expect, type Lab, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { accept, type BudgetFile, budgetName, figuresOf, judge, type Move } from '../support/cost/budget.ts';
import { COUNTED, type Cost, measureCost } from '../support/cost/measure.ts';
import { TALK } from '../support/cost/workload.ts';

const CELL = { device: 'veth', forward: 'redirect' } as const;
const NAME = budgetName(TALK, CELL);
/** what the guest's programs are loaded from */
const OBJECT = '/pathproof/payload/bpf/redirect.bpf.o';
/** `r5 = 0x50505050` as the JIT compiler of x86-64 has it: mov r8d, 0x50505050 */
const WASTED = Buffer.from('41b850505050', 'hex');
const MORE = 50;

/** A budget that is what these cost. */
function budgetOf(cost: Cost): BudgetFile {
	return accept(null, { kernel: cost.kernel, workload: TALK, measured: { [NAME]: figuresOf([cost]) } });
}

/** What is out of its budget, and by how much. */
function beyond(budget: BudgetFile, cost: Cost): Record<string, number> {
	const { moved } = judge(budget, TALK, NAME, figuresOf([cost]))!;
	const by = ({ budget, measured }: Move) => (measured ?? 0) - (budget ?? 0);
	return Object.fromEntries(moved.filter(({ beyond }) => beyond).map((move) => [move.figure, by(move)]));
}

/** How often the image of the program that stands there has it. */
async function wasted({ vm }: Lab): Promise<number> {
	const { jitedImage } = vm.use<typeof import('../support/guest/image.ts')>('vmtests/support/guest/image.ts');
	const image = Buffer.from(await jitedImage('/sys/fs/bpf/pathproof/programs/egress_neigh')).toString('latin1');
	return image.split(WASTED.toString('latin1')).length - 1;
}

test('50 instructions more in one program are out of its budget, that program and nothing else; so are 50 less', {
	tags: [FULL],
	timeout: 900_000,
}, async ({ lab, requires, annotate }) => {
	await requires('veth');
	const on = await lab({ ...COUNTED, ...CELL });
	const { vm } = on;
	const { upgradeTo } = vm.use<typeof import('../support/guest/upgrade.ts')>('vmtests/support/guest/upgrade.ts');
	const measure = async (object: Uint8Array, more: number) => {
		await vm.writeFile(OBJECT, object);
		await upgradeTo(null);
		expect(await wasted(on)).toBe(more);
		return await measureCost(on, TALK);
	};
	const [usual, wasteful] = [await vm.readFile(OBJECT), await buildProgram('fixtures/slower/redirect.bpf.c')];
	const [before, slower, after] = [await measure(usual, 0), await measure(wasteful, MORE), await measure(usual, 0)];
	const said = [before, slower, after].map(
		({ total, programs }) =>
			`total ${total.toFixed(1)}, egress_neigh ${programs.egress_neigh!.instructions.toFixed(1)}`,
	);
	await annotate(said.join('\n'));
	if (process.env.PATHPROOF_SHOW) console.log(vm.kernel.id, said);
	expect(beyond(budgetOf(before), after)).toEqual({});
	const [more, less] = [beyond(budgetOf(before), slower), beyond(budgetOf(slower), after)];
	for (const moved of [more, less]) expect(Object.keys(moved)).toEqual(['program egress_neigh']);
	// the compiler keeps something elsewhere meanwhile
	expect(more['program egress_neigh']).toBeGreaterThanOrEqual(MORE);
	expect(more['program egress_neigh']).toBeLessThan(MORE + 5);
	expect(less['program egress_neigh']).toBe(-more['program egress_neigh']!);
});

test('what nobody changed is within its budget twenty times in a row', {
	tags: [FULL],
	timeout: 1_800_000,
}, async ({ lab, requires, annotate }) => {
	await requires('veth');
	const on = await lab({ ...COUNTED, ...CELL });
	const budget = budgetOf(await measureCost(on, TALK));
	const totals: number[] = [];
	for (let time = 0; time < 20; time++) {
		const cost = await measureCost(on, TALK);
		expect(beyond(budget, cost), `time ${time + 1}`).toEqual({});
		totals.push(cost.total);
	}
	const said = `totals from ${Math.min(...totals).toFixed(1)} to ${Math.max(...totals).toFixed(1)}`;
	await annotate(said);
	if (process.env.PATHPROOF_SHOW) console.log(on.vm.kernel.id, said);
});
