/** `pathproof perf`: what a transaction costs over each device and way of forwarding, in guest instructions. */
import { FORWARDS_OF } from '../../../impl/container.ts';
import { featureClaim } from '../../../kernels/features.ts';
import { DEVICE_NEEDS } from '../device-needs.ts';
import type { ProvidedKernel } from '../provided.ts';
import type { PerfDocument } from '../schema.ts';
import { selectKernels } from '../select.ts';
import { Session } from '../session.ts';
import type { Device, Forward } from '../types.ts';
import { medianOf, spreadOf } from './figures.ts';
import { COUNTED, type Cost, measureCost, sumOf } from './measure.ts';
import { perfTable } from './perf-table.ts';
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
	/** fresh guests of each device and kernel */
	forks: number;
	json?: boolean;
}

export type PerfRow = PerfDocument['rows'][number];

interface Cell {
	device: Device;
	forward: Forward;
}

/** Of the talk's table: `none` first, which the others are compared with. */
const DEVICES: readonly Device[] = ['none', 'veth', 'netkit-l2', 'netkit-l3', 'ipvlan-l2', 'ipvlan-l3'];
const FORWARDS: readonly Forward[] = ['native', 'stack', 'redirect', 'fib'];

export async function perf(options: PerfOptions): Promise<void> {
	const { flows, threads, bytes, transactions: count } = options;
	const workload: Workload = { protocol: options.workload, flows, threads, bytes, count, warm: 2 * count };
	const rows: PerfRow[] = [];
	let qemu = '';
	await using session = await Session.open(note);
	for (const kernel of await selectKernels(options.kernel)) {
		const cells = cellsOf(kernel, options.device);
		const measured: { cell: Cell; costs: Cost[] }[] = [];
		for (const cell of cells) {
			note(`linux ${kernel.id}: ${cell.device} ${cell.forward}, ${count} transactions, thrice`);
			const costs: Cost[] = [];
			for (let fork = 0; fork < options.forks; fork++) {
				const { cost, ...said } = await measure(session, kernel, cell, workload);
				costs.push(cost);
				qemu = said.qemu;
			}
			measured.push({ cell, costs });
		}
		const bare = medianOf(measured[0]!.costs.map(({ total }) => total));
		rows.push(...measured.map(({ cell, costs }) => perfRow(kernel.id, cell, costs, bare)));
	}
	const document: PerfDocument = {
		schema: 1,
		profile: 'exact',
		accel: 'tcg',
		qemu,
		unit: 'guest instructions per transaction; instructions are not cycles',
		workload: { name: workload.protocol, flows, threads, bytes, transactions: count, warm: workload.warm },
		rows,
	};
	if (options.json) console.log(JSON.stringify(document));
	else console.log(perfTable(document));
}

/** Those that the kernel has, `none` in any case. */
function cellsOf(kernel: ProvidedKernel, asked: readonly Device[] = DEVICES): Cell[] {
	const able = (device: Device) =>
		DEVICE_NEEDS[device].every((feature) => featureClaim(kernel, feature).claim !== 'lacks');
	return DEVICES.filter((device) => device === 'none' || (asked.includes(device) && able(device))).flatMap((device) =>
		FORWARDS.filter((forward) => FORWARDS_OF[device].includes(forward)).map((forward) => ({ device, forward })),
	);
}

async function measure(session: Session, kernel: ProvidedKernel, cell: Cell, workload: Workload) {
	const lab = await session.lab(kernel, { ...COUNTED, ...cell });
	await using vm = lab.vm;
	const cost = await measureCost(lab, workload);
	const { qemu } = (await vm.qmp('query-version')) as { qemu: Record<'major' | 'minor' | 'micro', number> };
	return { cost, qemu: `${qemu.major}.${qemu.minor}.${qemu.micro}` };
}

/** `bare`: the total of device `none`. Of each figure the forks' median. */
export function perfRow(kernel: string, { device, forward }: Cell, costs: readonly Cost[], bare: number): PerfRow {
	const median = (of: (cost: Cost) => number) => round(medianOf(costs.map(of)));
	const total = median((cost) => cost.total);
	return {
		kernel,
		device,
		forward,
		instructionsPerTransaction: median(({ spent }) => sumOf(spent.host)),
		added: round(total - bare),
		user: median(({ spent }) => spent.host.user),
		system: median(({ spent }) => spent.host.system + spent.host.hardirq),
		hardirq: median(({ spent }) => spent.host.hardirq),
		softirq: median(({ spent }) => spent.host.softirq),
		peer: median(({ spent }) => sumOf(spent.peer)),
		other: median(({ spent }) => sumOf(spent.other)),
		total,
		idle: median(({ spent }) => spent.host.idle + spent.peer.idle + spent.other.idle),
		contextSwitches: median(({ counts }) => counts.contextSwitches),
		softirqs: median(({ counts }) => Object.values(counts.softirqsRun).reduce((sum, each) => sum + each, 0)),
		backlogHops: median(({ counts }) => backlogHops(counts.backlogs)),
		programs: Object.fromEntries(
			Object.keys(costs[0]!.programs).map((name) => [
				name,
				median(({ programs }) => programs[name]?.instructions ?? 0),
			]),
		),
		watching: median(({ watching }) => watching.total),
		spread: costs.length > 1 ? spreadOf(costs.map((cost) => cost.total)) : null,
	};
}

/** From the uplink to the container's socket: what the host and its container queue, but for the wire's own. */
function backlogHops(backlogs: Record<string, number>): number {
	const inside = Object.entries(backlogs).filter(([place]) => place.startsWith('web:'));
	return inside.reduce((sum, [, count]) => sum + count, 0);
}

const round = (value: number) => Math.round(value * 10) / 10;

function note(text: string): void {
	process.stderr.write(`${text}\n`);
}
