/**
 * `pathproof perf --growth`: how what a transaction costs grows with the connections, with what they carry, and with the containers of
 * the host. In guest instructions, which are not cycles: caches that run full show in none of it.
 */
import { writeFileSync } from 'node:fs';
import type { Remote } from '../../../kernels/vm.ts';
import { hasDevice } from '../device-needs.ts';
import type { Lab } from '../lab.ts';
import { note } from '../note.ts';
import type { ProvidedKernel } from '../provided.ts';
import type { GrowthDocument } from '../schema/cost.ts';
import { selectKernels } from '../select.ts';
import { Session } from '../session.ts';
import type { Device } from '../types.ts';
import { exponentOf } from './figures.ts';
import { growthPicture } from './growth-picture.ts';
import { growthTable } from './growth-table.ts';
import { COUNTED, measureCost, sumOf } from './measure.ts';
import type { Workload } from './workload.ts';

type Curve = GrowthDocument['curves'][number];
export type Axis = Curve['axis'];

/** What is measured along each: 0.5 decades apart or so, so that a bend shows. */
const POINTS: Record<Axis, readonly number[]> = {
	flows: [1, 10, 100, 500],
	bytes: [64, 1_024, 8_192, 65_536],
	containers: [1, 10, 100, 500],
};
/** What stays as it is along the other two. */
const AT: Workload = { protocol: 'tcp_rr', threads: 4, flows: 50, bytes: 64, warm: 1_000, count: 500 };

type Growing = Extract<Device, 'none' | 'veth' | 'netkit-l2' | 'netkit-l3'>;
/** `none` has no containers to grow by, and ipvlan no way of forwarding to choose. */
const DEVICES: readonly Growing[] = ['none', 'veth', 'netkit-l2', 'netkit-l3'];

const GUEST = 'vmtests/support/guest/scale.ts';
/** A call to a guest ends in time. */
const AT_ONCE = 5;

export interface GrowthOptions {
	kernel: string;
	/** those by `redirect`; all without */
	device?: Device[];
	svg?: string;
	json?: boolean;
}

export async function growth({ kernel: selector, device: asked, svg, json }: GrowthOptions): Promise<void> {
	const curves: Curve[] = [];
	await using session = await Session.open(note);
	for (const kernel of await selectKernels(selector))
		for (const device of devicesOf(kernel, asked))
			for (const axis of Object.keys(POINTS) as Axis[])
				if (device !== 'none' || axis !== 'containers') curves.push(await follow(session, kernel, device, axis));
	const { warm, count: transactions, threads, flows, bytes, protocol: name } = AT;
	const document: GrowthDocument = {
		schema: 1,
		profile: 'exact',
		accel: 'tcg',
		unit: 'guest instructions per transaction; instructions are not cycles',
		workload: { name, flows, threads, bytes, transactions, warm },
		curves,
	};
	if (svg) writeFileSync(svg, growthPicture(document));
	console.log(json ? JSON.stringify(document) : growthTable(document));
}

function devicesOf(kernel: ProvidedKernel, asked: readonly Device[] = DEVICES): Growing[] {
	return DEVICES.filter((device) => device === 'none' || (asked.includes(device) && hasDevice(kernel, device)));
}

/** One guest for each curve: what a point costs does not hang on another kind of point before it. */
async function follow(session: Session, kernel: ProvidedKernel, device: Growing, axis: Axis): Promise<Curve> {
	const forward = device === 'none' ? 'native' : 'redirect';
	const lab = await session.lab(kernel, { ...COUNTED, device, forward });
	await using _vm = lab.vm;
	const points = await measureGrowth(lab, device, axis, POINTS[axis], (at) =>
		note(`linux ${kernel.id}: ${device} ${forward}, ${at} ${axis}`),
	);
	const exponent = (of: 'host' | 'perPacket') => exponentOf(points.map((point) => [point.at, point[of]]));
	return {
		kernel: kernel.id,
		device,
		forward,
		axis,
		points,
		exponents: { host: exponent('host'), perPacket: exponent('perPacket') },
	};
}

/** `lab` as `measureCost` takes it, of this device. `points` rise. */
export async function measureGrowth(
	lab: Lab,
	device: Growing,
	axis: Axis,
	points: readonly number[],
	before: (at: number) => void = () => undefined,
): Promise<Curve['points']> {
	const guest = lab.vm.use<typeof import('../guest/scale.ts')>(GUEST);
	if (axis === 'containers') await guest.routeMany();
	const measured: Curve['points'] = [];
	for (const at of points) {
		before(at);
		// `web` is one of them
		if (axis === 'containers') await fillUp(guest, device, measured.at(-1)?.at ?? 1, at);
		const cost = await measureCost(lab, workloadAt(axis, at));
		const packets = Object.values(cost.counts.packetsReceived).reduce((sum, each) => sum + each, 0);
		measured.push({
			at,
			host: sumOf(cost.spent.host),
			total: cost.total,
			packets,
			perPacket: cost.total / packets,
			programs: Object.fromEntries(
				Object.entries(cost.programs).map(([name, { instructions }]) => [name, instructions]),
			),
		});
	}
	return measured;
}

/** No more threads than flows, and of transactions a multiple of those: a window ends as it begins. Pure. */
function workloadAt(axis: Axis, at: number): Workload {
	if (axis === 'flows') return { ...AT, flows: at, threads: Math.min(AT.threads, at) };
	return axis === 'bytes' ? { ...AT, bytes: at, warm: 200, count: 100 } : AT;
}

async function fillUp(guest: Remote<typeof import('../guest/scale.ts')>, device: Growing, from: number, to: number) {
	for (let next = from; next < to; next += AT_ONCE)
		await guest.addMany({ first: next, last: Math.min(next + AT_ONCE, to) - 1 }, device, 'redirect');
}
