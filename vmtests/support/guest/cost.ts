/** Where the instructions of a workload's window go: bpf/cost.bpf.c, attached and read. Only on one CPU, in the `exact` profile. */
import { closeSync, statSync, unlinkSync } from 'node:fs';
import { deviceName } from '../../../impl/addresses.ts';
import { attachRawTracepoint, attachTracing, pin } from '../../../impl/libbpf/attach.ts';
import { programRunTime } from '../../../impl/libbpf/enumerate.ts';
import { type BpfMap, u32 } from '../../../impl/libbpf/map.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { runOnce } from '../../../impl/libbpf/run.ts';
import { inNetns, NETNS_DIR, netnsNames } from '../../../impl/netns.ts';
import { bpfObjectPath } from '../../../impl/objects.ts';
import { PARTS, SIDES, type Side, SOFTIRQS } from '../cost/words.ts';
import { explained } from './explain.ts';

/** What a workload is told to open and close; cost/measure.ts tells it. */
const WINDOW = '/sys/fs/bpf/pathproof-cost-window';

const TRACEPOINTS = [
	'sys_enter',
	'sys_exit',
	'sched_switch',
	'softirq_entry',
	'softirq_exit',
	'softirq_raise',
	'irq_handler_entry',
	'irq_handler_exit',
	'local_timer_entry',
	'local_timer_exit',
	'netif_receive_skb',
];
const FUNCTION = 'enqueue_to_backlog';
const PROGRAMS = [...TRACEPOINTS, FUNCTION].map((name) => `on_${name}`);

/** struct spent, in u64 */
const SPENT = 2 * PARTS.length + 2;
/** struct cost, in bytes */
const COST_SIZE = 8 * (SIDES.length * SPENT + 2 + 2 * SOFTIRQS.length + 1);
/** struct now { __u64 since, unclaimed, unclaimed_touched; __u32 task, packets, mode; bool softirq, claimed, hardirq; __u32 peer; } */
const STATE = { size: 48, task: 24, peer: 40 } as const;

/** As the kernel's programs counted it; nothing of what they cost is taken off. */
export interface RawCost {
	/** by side */
	spent: RawSpent[];
	switches: number;
	hardirqs: number;
	/** by softirq */
	raised: number[];
	softirqs: number[];
	/** of the programs, but for those of system calls */
	calls: number;
	/** packets put into a backlog, by where they are received next: `host:eth0` */
	backlogs: Record<string, number>;
}

export interface RawSpent {
	/** by part */
	time: number[];
	touched: number[];
	syscalls: number;
	packets: number;
}

interface Probe {
	object: BpfObject;
	links: number[];
	costs: BpfMap;
	sides: BpfMap;
	backlogs: BpfMap;
}

let probe: Probe | undefined;

/** `peer`: the netns whose packets are the peer's. */
export function attachProbe(peer: string): Promise<void> {
	return explained(() => {
		const object = BpfObject.open(bpfObjectPath('cost')).loadOnly(PROGRAMS).load();
		const state = Buffer.alloc(STATE.size);
		state.writeUInt32LE(SIDES.indexOf('other'), STATE.task);
		state.writeUInt32LE(statSync(`${NETNS_DIR}/${peer}`).ino, STATE.peer);
		object.map('states', 4, STATE.size).update(u32(0), state);
		pin(object.map('window', 4, 8).fd, WINDOW);
		const links = [
			...TRACEPOINTS.map((name) => attachRawTracepoint(object.programFd(`on_${name}`), name)),
			attachTracing(object.programFd(`on_${FUNCTION}`), FUNCTION),
		];
		probe = {
			object,
			links,
			costs: object.map('costs', 4, COST_SIZE),
			sides: object.map('sides', 4, 4),
			backlogs: object.map('backlogs', 8, 8),
		};
	});
}

export function detachProbe(): void {
	for (const link of probe!.links) closeSync(link);
	probe!.object[Symbol.dispose]();
	unlinkSync(WINDOW);
	probe = undefined;
}

/** Of a process, once it has started; its threads are with it. */
export function takeSide(pid: number, side: Side): Promise<void> {
	return explained(() => probe!.sides.update(u32(pid), u32(SIDES.indexOf(side))));
}

/** Of all windows since the last call. */
export function takeCost(): Promise<RawCost> {
	return explained(() => {
		const { costs, backlogs } = probe!;
		const bytes = costs.lookup(u32(0))!;
		costs.update(u32(0), Buffer.alloc(COST_SIZE));
		const words = Array.from({ length: COST_SIZE / 8 }, (_, index) => Number(bytes.readBigUInt64LE(8 * index)));
		const take = (count: number) => words.splice(0, count);
		const spent = SIDES.map((): RawSpent => {
			const [time, touched] = [take(PARTS.length), take(PARTS.length)];
			const [syscalls, packets] = take(2) as [number, number];
			return { time, touched, syscalls, packets };
		});
		const [switches, hardirqs] = take(2) as [number, number];
		const [raised, softirqs] = [take(SOFTIRQS.length), take(SOFTIRQS.length)];
		const [calls] = take(1) as [number];
		return { spent, switches, hardirqs, raised, softirqs, calls, backlogs: takeBacklogs(backlogs) };
	});
}

function takeBacklogs(backlogs: BpfMap): Record<string, number> {
	const names = netnsNames();
	return Object.fromEntries(
		backlogs.keys().map((key) => {
			const netns = names.get(key.readUInt32LE(0)) ?? String(key.readUInt32LE(0));
			const index = key.readUInt32LE(4);
			const device =
				names.has(key.readUInt32LE(0)) && inNetns(netns === 'host' ? null : netns, () => deviceName(index));
			const count = Number(backlogs.lookup(key)!.readBigUInt64LE(0));
			backlogs.delete(key);
			return [`${netns}:${device || `device ${index}`}`, count];
		}),
	);
}

/** Of which one at least has no tick of the clock in it. */
const RUNS = 20;

/** What the kernel's statistics say that a program takes which does nothing: nanoseconds, the least of some runs. */
export function runNothing(): Promise<number> {
	return explained(() => {
		using object = BpfObject.open(bpfObjectPath('cost')).loadOnly(['nothing']).load();
		const program = object.programFd('nothing');
		const took = Array.from({ length: RUNS }, () => {
			const [, before] = programRunTime(program);
			runOnce(program, 'a program that does nothing');
			return programRunTime(program)[1] - before;
		});
		return Math.min(...took);
	});
}
