/** `pathproof perf --verifier`: what it takes the verifier of each kernel to let each program of the datapath in. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { Vm } from '../../../kernels/vm.ts';
import { note } from '../note.ts';
import type { VerifierDocument } from '../schema/cost.ts';
import { selectKernels } from '../select.ts';
import { Session } from '../session.ts';
import { type BudgetFile, emptyBudgets } from './budget.ts';
import { readBudgets, writeBudgets } from './budget-files.ts';
import {
	acceptVerified,
	type Growth,
	growthOf,
	unkept,
	type Verified,
	type VerifierTable,
	verifierTable,
} from './verified.ts';

const GUEST = 'vmtests/support/guest/verifier.ts';
const OUT_OF_BUDGET = 1;

export interface VerifierOptions {
	kernel: string;
	accept?: boolean;
	json?: boolean;
}

export async function askVerifier(vm: Vm): Promise<VerifierTable> {
	return verifierTable(await vm.use<typeof import('../guest/verifier.ts')>(GUEST).askVerifier());
}

export async function verifier({ kernel: selector, accept, json }: VerifierOptions): Promise<void> {
	const kernels: VerifierDocument['kernels'] = [];
	await using session = await Session.open(note);
	for (const kernel of await selectKernels(selector)) {
		await using vm = await session.vm(kernel);
		const table = await askVerifier(vm);
		const file = readBudgets(kernel.id);
		const grown = file?.verifier ? growthOf(file.verifier, table) : [];
		kernels.push({ kernel: kernel.id, ...table, grown, unkept: unkept(file?.verifier, table) });
		if (accept) note(`the budget from now on: ${writeBudgets(withVerified(file ?? emptyBudgets(kernel.id), table))}`);
	}
	if (json) console.log(JSON.stringify({ schema: 1, kernels } satisfies VerifierDocument));
	else console.log(drawn(kernels));
	if (accept) return;
	for (const { kernel, grown, unkept } of kernels) {
		for (const each of grown) note(wordsOf(kernel, each));
		if (unkept.length) note(`– linux ${kernel}: no budget is kept of ${unkept.join(', ')}`);
	}
	const out = kernels.filter(({ grown }) => grown.length).map(({ kernel }) => kernel);
	if (!out.length) return;
	note(`where this is meant to be: npx pathproof perf --verifier --kernel ${out.join(',')} --accept`);
	process.exitCode = OUT_OF_BUDGET;
}

function withVerified(file: BudgetFile, table: VerifierTable): BudgetFile {
	return { ...file, verifier: acceptVerified(file.verifier, table) };
}

/** e.g. `✗ linux 7.3.4: egress_neigh took 400 instructions and 20 states, and takes 812 and 44` */
export function wordsOf(kernel: string, { program, budget, measured }: Growth): string {
	const figures = ({ instructions, states }: Verified) => `${instructions} instructions and ${states} states`;
	const words = measured
		? `took ${figures(budget)}, and takes ${figures(measured)}`
		: 'is in the budget, and is not loaded any more';
	return `✗ linux ${kernel}: ${program} ${words}`;
}

function drawn(kernels: VerifierDocument['kernels']): string {
	const names = [
		...new Set(kernels.flatMap(({ programs, refused }) => [...Object.keys(programs), ...Object.keys(refused)])),
	];
	const table = new Table({
		head: ['program', ...kernels.map(({ kernel }) => kernel)],
		style: { head: [], border: [] },
		colAligns: ['left', ...kernels.map(() => 'right' as const)],
	});
	const cell = (each: Verified | undefined) => (each ? `${each.instructions} / ${each.states}` : '–');
	for (const name of names) table.push([name, ...kernels.map(({ programs }) => cell(programs[name]))]);
	return [
		styleText(
			'bold',
			'instructions that the verifier went through / states that it kept, of a million instructions at most',
		),
		table.toString(),
		'–: that kernel does not load it; --json says why.',
	].join('\n');
}
