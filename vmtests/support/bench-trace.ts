/** `pathproof bench trace`: what the tracer costs a packet, in guest instructions. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import { PathproofError } from '../../kernels/errors.ts';
import type { Lab } from './lab.ts';
import { note } from './note.ts';
import type { ProvidedKernel } from './provided.ts';
import type { TraceCostDocument } from './schema/cost.ts';
import { selectKernels } from './select.ts';
import { Session } from './session.ts';

export interface BenchTraceOptions {
	kernel: string;
	transactions: number;
	json?: boolean;
}

type Row = TraceCostDocument['kernels'][number];

/** A transaction is a request of one byte and its answer. */
const PACKETS = 2;
const PORT = 12865;
/** Of netperf's answers the one with the most digits. */
const RATE = 'TRANSACTION_RATE';

export async function benchTrace({ kernel: selector, transactions, json }: BenchTraceOptions): Promise<void> {
	const rows: Row[] = [];
	await using session = await Session.open(note);
	for (const kernel of await selectKernels(selector)) {
		note(`linux ${kernel.id}: ${transactions} transactions, thrice, on one vCPU that counts instructions`);
		rows.push(await measure(session, kernel, transactions));
	}
	const document: TraceCostDocument = { schema: 1, profile: 'exact', accel: 'tcg', transactions, kernels: rows };
	if (json) console.log(JSON.stringify(document));
	else console.log(table(rows));
}

async function measure(session: Session, kernel: ProvidedKernel, transactions: number): Promise<Row> {
	const lab = await session.lab(kernel, COUNTED);
	return { kernel: kernel.id, device: lab.state.options.device, ...(await traceCost(lab, transactions)) };
}

/** The lab that `traceCost` takes: it counts instructions, and no tracer is there yet. */
export const COUNTED = { profile: 'exact', forward: 'redirect', tracer: false } as const;

/** The same traffic with no tracer, with one that rests and with one that follows every packet: of each, the second run counts. */
export async function traceCost(lab: Lab, transactions: number): Promise<Omit<Row, 'kernel' | 'device'>> {
	await using _server = await lab.peer.spawn(['netserver', '-6', '-D', '-p', String(PORT)]);
	await lab.peer.listening('t', PORT);
	const run = () => instructionsPerPacket(lab, transactions);
	await run();
	const without = await run();
	// the first trace attaches the tracer, and its end leaves it idle
	await lab.trace({ protocol: 'tcp' }, run);
	const idle = await run();
	let tracing = 0;
	const trace = await lab.trace({ protocol: 'tcp' }, async () => {
		tracing = await run();
	});
	const events = trace.packets.reduce((sum, packet) => sum + packet.events.length, 0);
	return {
		without: round(without),
		idle: round(idle - without),
		tracing: round(tracing - without),
		eventsPerPacket: round(events / trace.packets.length),
		lostEvents: trace.packets[0]?.lostEvents ?? 0,
	};
}

/** On the `exact` profile, beside a netserver on the peer: one vCPU runs both ends and all between, a nanosecond of its clock is an instruction. */
export async function instructionsPerPacket({ web, peer }: Lab, transactions: number): Promise<number> {
	const words = [
		'netperf',
		'-6',
		'-H',
		peer.ipv6,
		'-t',
		'TCP_RR',
		'-l',
		`-${transactions}`,
		'-P',
		'0',
		'--',
		'-k',
		RATE,
	];
	const { stdout } = await web.exec(words, { timeout: 300_000 });
	const perSecond = Number(stdout.split('=')[1]);
	if (!(perSecond > 0)) throw new PathproofError(`netperf said no ${RATE}: ${stdout}`, { stage: 'call' });
	return 1e9 / perSecond / PACKETS;
}

function table(rows: readonly Row[]): string {
	const drawn = new Table({
		head: ['kernel', 'device', 'without', 'attached, idle', 'tracing', 'events per packet', 'lost'],
		style: { head: [], border: [] },
		colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
	});
	for (const { kernel, device, without, idle, tracing, eventsPerPacket, lostEvents } of rows) {
		drawn.push([kernel, device, without, `+${idle}`, `+${tracing}`, eventsPerPacket, lostEvents]);
	}
	const title = 'guest instructions per packet of netperf TCP_RR, both ends on one vCPU';
	return `${styleText('bold', title)}\n${drawn}\nInstructions are not cycles: they say nothing of caches.`;
}

const round = (value: number) => Math.round(value * 10) / 10;
