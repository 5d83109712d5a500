/** What each run of a BPF program costs: the kernel's own statistics, whose clock ticks once for each instruction in the exact profile. */
import type { Vm } from '../../../kernels/vm.ts';

const GUEST = 'vmtests/support/guest/cost.ts';

export interface ProgramCost {
	/** in all */
	runs: number;
	/** instructions of a run, helpers and the maps that it looks into included */
	instructions: number;
}

/** What `bpftool --json prog show` says of a program that ran while the statistics were on. */
interface Shown {
	id: number;
	name?: string;
	type: string;
	run_time_ns?: number;
	run_cnt?: number;
}

/** Of all programs that run while `act` does, by name. Each statistic is less what it says of a program that does nothing. */
export async function programCosts(vm: Vm, act: () => Promise<unknown>): Promise<Record<string, ProgramCost>> {
	const nothing = await statistics(vm, () => vm.use<typeof import('../guest/cost.ts')>(GUEST).runNothing());
	return await statistics(vm, async () => {
		const before = await shown(vm);
		await act();
		const after = await shown(vm);
		return Object.fromEntries(
			[...after].flatMap(([id, { name = `program ${id}`, run_cnt = 0, run_time_ns = 0 }]) => {
				const runs = run_cnt - (before.get(id)?.run_cnt ?? 0);
				const took = run_time_ns - (before.get(id)?.run_time_ns ?? 0);
				return runs ? [[name, { runs, instructions: took / runs - nothing }] as const] : [];
			}),
		);
	});
}

async function shown(vm: Vm): Promise<Map<number, Shown>> {
	const { stdout } = await vm.exec(['bpftool', '--json', 'prog', 'show']);
	return new Map((JSON.parse(stdout) as Shown[]).map((program) => [program.id, program]));
}

async function statistics<T>(vm: Vm, act: () => Promise<T>): Promise<T> {
	const set = (on: 0 | 1) => vm.exec(['sysctl', '-q', '-w', `kernel.bpf_stats_enabled=${on}`]);
	await set(1);
	try {
		return await act();
	} finally {
		await set(0);
	}
}
