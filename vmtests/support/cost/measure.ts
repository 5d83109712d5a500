/**
 * What a transaction costs, in guest instructions, which are the same on every machine and are not cycles: no cache, no branch is
 * mispredicted. For labs of the `exact` profile: one CPU runs both ends and all between, and each nanosecond of its clock is an
 * instruction.
 *
 * Each workload runs thrice beside one server: unwatched, which gives the total; under bpf/cost.bpf.c, which tells the total's parts
 * apart; and under the kernel's statistics of BPF programs.
 */
import { PathproofError } from '../../../kernels/errors.ts';
import type { GuestProcess, Vm } from '../../../kernels/vm.ts';
import type { Lab } from '../lab.ts';
import type { Node } from '../nodes.ts';
import { type ProgramCost, programCosts } from './bpf-programs.ts';
import { installProgram } from './program.ts';
import { type PerSyscall, perSyscall, type Spent, unwatched } from './watched.ts';
import { PARTS, SIDES, type Side, SOFTIRQS } from './words.ts';
import { clientWords, firstComeFirstServed, holdClient, serverWords, type Window, type Workload } from './workload.ts';

const GUEST = 'vmtests/support/guest/cost.ts';
/** As in guest/cost.ts. */
const WINDOW = '/sys/fs/bpf/pathproof-cost-window';
/** getppid, of which four instructions are the program's own: fixtures/workloads/syscalls.c */
const SYSCALLS = { batch: 500, user: 4 } as const;

/** Of a lab that `measureCost` takes; a tracer would be paid for too. */
export const COUNTED = { profile: 'exact', tracer: false } as const;

/** All of it per transaction. */
export interface Cost {
	/** the kernel's id */
	kernel: string;
	workload: Workload;
	/** instructions of the whole machine, where nobody watches */
	total: number;
	/** the same by who spent them, and in which part of the kernel; `idle` is nanoseconds, and in no total */
	spent: Record<Side, Spent>;
	/** what watching would have added: it is in none of the figures above */
	watching: PerSyscall & { perCall: number; total: number };
	counts: Counts;
	/** BPF programs that ran, by name */
	programs: Record<string, ProgramCost>;
}

export interface Counts {
	contextSwitches: number;
	hardirqs: number;
	/** by softirq, those that were raised at all */
	softirqsRaised: Record<string, number>;
	softirqsRun: Record<string, number>;
	/** by side */
	systemCalls: Record<Side, number>;
	packetsReceived: Record<Side, number>;
	/** packets that waited in a backlog for their next receiver, by that: `host:eth0` is the wire's own */
	backlogs: Record<string, number>;
}

/** `lab` as in `COUNTED`, and nothing else running in it. The client is the lab's container, the server its peer. */
export async function measureCost(
	lab: Pick<Lab, 'vm' | 'peer'> & { web: Pick<Node, 'netns'> },
	workload: Workload,
): Promise<Cost> {
	const { vm, web, peer } = lab;
	if (vm.profile !== 'exact')
		throw new PathproofError('instructions are counted in the exact profile alone', {
			stage: 'usage',
			hint: "lab({ profile: 'exact', tracer: false })",
		});
	const [program, syscalls] = [await installProgram(vm, 'rr'), await installProgram(vm, 'syscalls')];
	await using server = await peer.spawn(firstComeFirstServed(serverWords(program, workload, '::')));
	await server.waitFor(/^serving/, 60_000);
	const run = (window: string | null, started?: (pid: number) => Promise<unknown>) =>
		runClient(vm, web, clientWords(program, workload, peer.ipv6, window), started);
	const plain = await run(null);
	const watched = await watch(vm, { server, peer, syscalls }, run);
	const programs = await programCosts(vm, () => run(null));
	return { kernel: vm.kernel.id, workload, ...costOf(plain, watched, programs) };
}

async function runClient(
	vm: Vm,
	{ netns }: Pick<Node, 'netns'>,
	argv: readonly string[],
	started?: (pid: number) => Promise<unknown>,
): Promise<Window> {
	const client = await holdClient(vm, firstComeFirstServed(argv), netns);
	await started?.(client.pid);
	return client.go();
}

type Watched = Awaited<ReturnType<typeof watch>>;

async function watch(
	vm: Vm,
	{ server, peer, syscalls }: { server: GuestProcess; peer: Node; syscalls: string },
	run: (window: string, started: (pid: number) => Promise<unknown>) => Promise<Window>,
) {
	const guest = vm.use<typeof import('../guest/cost.ts')>(GUEST);
	const call = (...more: string[]) => [syscalls, String(SYSCALLS.batch), ...more];
	const aside: Pick<Node, 'netns'> = { netns: null };
	const calls = await runClient(vm, aside, call());
	await guest.attachProbe(peer.netns!);
	try {
		const asHost = (pid: number) => guest.takeSide(pid, 'host');
		await runClient(vm, aside, call(WINDOW), asHost);
		const total = calls.instructions / calls.transactions;
		const syscall = perSyscall(await guest.takeCost(), { user: SYSCALLS.user, total });
		await guest.takeSide(server.pid, 'peer');
		const window = await run(WINDOW, asHost);
		return { syscall, raw: await guest.takeCost(), window };
	} finally {
		await guest.detachProbe();
	}
}

function costOf(plain: Window, { syscall, raw, window }: Watched, programs: Record<string, ProgramCost>) {
	const { transactions } = plain;
	const { spent, perCall } = unwatched(raw, plain.instructions, syscall);
	const each = (count: number) => count / transactions;
	const idle = SIDES.reduce((sum, side) => sum + spent[side].idle, 0);
	const bySide = (of: (side: number) => number) =>
		Object.fromEntries(SIDES.map((side, index) => [side, each(of(index))])) as Record<Side, number>;
	const bySoftirq = (counts: readonly number[]) =>
		Object.fromEntries(SOFTIRQS.map((name, vector) => [name, each(counts[vector]!)]).filter(([, count]) => count));
	return {
		total: each(plain.instructions - idle),
		spent: Object.fromEntries(
			SIDES.map((side) => [side, Object.fromEntries(PARTS.map((part) => [part, each(spent[side][part])]))]),
		) as Record<Side, Spent>,
		watching: { ...syscall, perCall, total: each(window.instructions - plain.instructions) },
		counts: {
			contextSwitches: each(raw.switches),
			hardirqs: each(raw.hardirqs),
			softirqsRaised: bySoftirq(raw.raised),
			softirqsRun: bySoftirq(raw.softirqs),
			systemCalls: bySide((side) => raw.spent[side]!.syscalls),
			packetsReceived: bySide((side) => raw.spent[side]!.packets),
			backlogs: Object.fromEntries(Object.entries(raw.backlogs).map(([place, count]) => [place, each(count)])),
		},
		programs,
	};
}

/** Of one side, without its idling. */
export function sumOf(spent: Spent): number {
	return PARTS.reduce((sum, part) => sum + (part === 'idle' ? 0 : spent[part]), 0);
}
