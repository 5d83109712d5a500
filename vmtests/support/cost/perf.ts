/** `pathproof perf`: what a transaction costs over each device and way of forwarding, in guest instructions. */
import { writeFileSync } from 'node:fs';
import { FORWARDS_OF } from '../../../impl/container.ts';
import { PathproofError } from '../../../kernels/errors.ts';
import { hasDevice } from '../device-needs.ts';
import { note } from '../note.ts';
import type { ProvidedKernel } from '../provided.ts';
import type { PerfDocument } from '../schema/cost.ts';
import { selectKernels } from '../select.ts';
import { Session } from '../session.ts';
import type { Device, Forward } from '../types.ts';
import { accept, budgetName, figuresOf } from './budget.ts';
import { readBudgets, writeBudgets } from './budget-files.ts';
import { COUNTED, measureCost } from './measure.ts';
import { OTHERS, type Other, wire } from './others.ts';
import { type Measured, perfRow } from './perf-rows.ts';
import { perfTable } from './perf-table.ts';
import { perfPicture } from './picture.ts';
import type { Workload } from './workload.ts';

export interface PerfOptions {
	kernel: string;
	workload: Workload['protocol'];
	flows: number;
	threads: number;
	bytes: number;
	/** in the window; before it twice as many warm up */
	transactions: number;
	/** devices, or all that there are */
	device?: Device[];
	/** what hosts run without this datapath, too */
	others?: boolean;
	/** fresh guests of each device and kernel */
	forks: number;
	/** what is measured is the budget from now on */
	accept?: boolean;
	/** the file for the picture */
	svg?: string;
	json?: boolean;
}

/** Of the talk's table: `none` first, which the others are compared with. */
const DEVICES: readonly Device[] = ['none', 'veth', 'netkit-l2', 'netkit-l3', 'ipvlan-l2', 'ipvlan-l3'];
const FORWARDS: readonly Forward[] = ['native', 'stack', 'redirect', 'fib'];

interface Ours {
	device: Device;
	forward: Forward;
}
/** Where the others are put up. */
const BARE = { device: 'none', forward: 'native' } as const;

/** Or not known to be within it. */
const OUT_OF_BUDGET = 1;

export async function perf(options: PerfOptions): Promise<void> {
	const { flows, threads, bytes, transactions: count } = options;
	const workload: Workload = { protocol: options.workload, flows, threads, bytes, count, warm: 2 * count };
	const rows: PerfDocument['rows'] = [];
	const failed: NonNullable<PerfDocument['failed']> = [];
	let qemu = '';
	await using session = await Session.open(note);
	for (const kernel of await selectKernels(options.kernel)) {
		const measured: Measured[] = [];
		for (const cell of [...cellsOf(kernel, options.device), ...(options.others ? othersOf(kernel) : [])]) {
			note(`linux ${kernel.id}: ${cell.device} ${cell.forward}, ${count} transactions, thrice`);
			const costs: Measured['costs'][number][] = [];
			try {
				for (let fork = 0; fork < options.forks; fork++) {
					const { cost, ...said } = await measure(session, kernel, cell, workload);
					costs.push(cost);
					qemu = said.qemu;
				}
				measured.push({ cell, costs });
			} catch (error) {
				// the others are compared with it; what was measured of those is not lost with one of them
				if (cell.device === 'none' || !(error instanceof PathproofError)) throw error;
				const why = error.message;
				note(`linux ${kernel.id}: ${cell.device} ${cell.forward} could not be measured: ${why}`);
				failed.push({ kernel: kernel.id, device: cell.device, forward: cell.forward, why });
			}
		}
		const budgets = readBudgets(kernel.id);
		rows.push(...measured.map((each) => perfRow(each, measured[0]!, budgets)));
		if (options.accept) {
			const figures = measured.map(({ cell, costs }) => [budgetName(workload, cell), figuresOf(costs)] as const);
			const kept = accept(budgets, { kernel: kernel.id, workload, measured: Object.fromEntries(figures) });
			note(`the budget from now on: ${writeBudgets(kept)}`);
		}
	}
	const document: PerfDocument = {
		schema: 1,
		profile: 'exact',
		accel: 'tcg',
		qemu,
		unit: 'guest instructions per transaction; instructions are not cycles',
		workload: { name: workload.protocol, flows, threads, bytes, transactions: count, warm: workload.warm },
		rows,
		failed,
	};
	if (options.svg) writeFileSync(options.svg, perfPicture(document));
	if (options.json) console.log(JSON.stringify(document));
	else console.log(perfTable(document));
	const outOfBudget = !options.accept && rows.some(({ budget }) => budget && !budget.within);
	if (outOfBudget || failed.length) process.exitCode = OUT_OF_BUDGET;
}

/** Those that the kernel has, `none` in any case. */
function cellsOf(kernel: ProvidedKernel, asked: readonly Device[] = DEVICES): Ours[] {
	return DEVICES.filter((device) => device === 'none' || (asked.includes(device) && hasDevice(kernel, device))).flatMap(
		(device) =>
			FORWARDS.filter((forward) => FORWARDS_OF[device].includes(forward)).map((forward) => ({ device, forward })),
	);
}

/** They need modules: veth, ipvlan, bridge, nf_tables. */
function othersOf(kernel: ProvidedKernel): readonly Other[] {
	return kernel.tier === 'full' ? OTHERS : [];
}

async function measure(session: Session, kernel: ProvidedKernel, cell: Ours | Other, workload: Workload) {
	const isOther = 'script' in cell;
	const lab = await session.lab(kernel, { ...COUNTED, ...(isOther ? BARE : cell) });
	await using vm = lab.vm;
	const web = isOther ? await wire(vm, cell) : lab.web;
	const cost = await measureCost({ vm, peer: lab.peer, web }, workload);
	const { qemu } = (await vm.qmp('query-version')) as { qemu: Record<'major' | 'minor' | 'micro', number> };
	return { cost, qemu: `${qemu.major}.${qemu.minor}.${qemu.micro}` };
}
