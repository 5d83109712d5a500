/** Figures that were made up so that one can add them up by hand. */
import { expect, test } from 'vitest';
import { accept, type Budget, type BudgetFile, type Figures, judge, movesOf } from './budget.ts';
import { formatBudgets } from './budget-files.ts';
import { acceptCommand, showMoves } from './budget-words.ts';
import { TALK, type Workload } from './workload.ts';

const FIGURES: Figures = {
	total: 30_000,
	host: { user: 200, system: 10_000, softirq: 5_400, hardirq: 10 },
	peer: { user: 200, system: 9_000, softirq: 5_180, hardirq: 10 },
	other: { user: 0, system: 0, softirq: 0, hardirq: 0 },
	programs: { egress_neigh: 300, ingress_peer: 250 },
};
const BUDGET: Budget = { tolerance: 0.005, ...FIGURES };
const NAME = 'tcp_rr/netkit-l2/redirect';
const { protocol: _, ...SIZE } = TALK;
const FILE: BudgetFile = {
	schema: 1,
	kernel: '7.3.4',
	unit: 'guest instructions per transaction, of programs per run; instructions are not cycles',
	workloads: { tcp_rr: SIZE },
	budgets: { [NAME]: BUDGET },
};

/** What moved by more than it may. */
const beyond = (measured: Figures) =>
	movesOf(BUDGET, measured)
		.filter((move) => move.beyond)
		.map(({ figure }) => figure);

test('what is as the budget has it has not moved', () => {
	expect(movesOf(BUDGET, FIGURES)).toEqual([]);
});

test('half a per cent more or less is within, and an instruction beyond that is not, in either direction', () => {
	expect(beyond({ ...FIGURES, total: 30_150 })).toEqual([]);
	expect(beyond({ ...FIGURES, total: 29_850 })).toEqual([]);
	expect(beyond({ ...FIGURES, total: 30_151 })).toEqual(['total']);
	expect(beyond({ ...FIGURES, total: 29_849 })).toEqual(['total']);
});

test('what one part loses and another gains is seen, though the total is the same', () => {
	const host = { ...FIGURES.host, system: 9_800, softirq: 5_600 };
	expect(beyond({ ...FIGURES, host })).toEqual(['host system', 'host softirq']);
});

test('fifty instructions more in one program are pinned to it, far as they are from half a per cent of the total', () => {
	const host = { ...FIGURES.host, softirq: 5_450 };
	const programs = { ...FIGURES.programs, ingress_peer: 300 };
	expect(beyond({ ...FIGURES, total: 30_050, host, programs })).toEqual(['program ingress_peer']);
});

test('a program that is new in the way, and one that is gone, are out of any budget', () => {
	const programs = { egress_neigh: 300, egress_guard: 80 };
	expect(movesOf(BUDGET, { ...FIGURES, programs })).toEqual([
		{ figure: 'program ingress_peer', budget: 250, measured: null, beyond: true },
		{ figure: 'program egress_guard', budget: null, measured: 80, beyond: true },
	]);
});

test('a workload of another size has no budget, nor has a lab that nobody measured', () => {
	expect(judge(FILE, TALK, NAME, FIGURES)).toEqual({ tolerance: 0.005, moved: [], within: true });
	expect(judge(FILE, { ...TALK, flows: 20 }, NAME, FIGURES)).toBeNull();
	expect(judge(FILE, TALK, 'tcp_rr/veth/stack', FIGURES)).toBeNull();
	expect(judge(null, TALK, NAME, FIGURES)).toBeNull();
});

test('what is accepted and within its budget leaves that as it was; what is out of it, and what is new, is written', () => {
	const within = { ...FIGURES, total: 30_007 };
	const out = { ...FIGURES, total: 31_000 };
	const workload: Workload = TALK;
	const kept = (measured: Record<string, Figures>) => accept(FILE, { kernel: '7.3.4', workload, measured });
	expect(formatBudgets(kept({ [NAME]: within }))).toBe(formatBudgets(FILE));
	expect(kept({ [NAME]: out }).budgets[NAME]).toEqual({ tolerance: 0.005, ...out });
	expect(Object.keys(kept({ 'tcp_rr/none/native': FIGURES }).budgets)).toEqual([NAME, 'tcp_rr/none/native']);
});

test('a tolerance that was written by hand outlives what is accepted', () => {
	const file = { ...FILE, budgets: { [NAME]: { ...BUDGET, tolerance: 0.02 } } };
	const measured = { [NAME]: { ...FIGURES, total: 40_000 } };
	expect(accept(file, { kernel: '7.3.4', workload: TALK, measured }).budgets[NAME]).toMatchObject({
		tolerance: 0.02,
		total: 40_000,
	});
});

test('budgets of another size of the same workload are replaced, those of another workload are not', () => {
	const udp = { 'udp_rr/none/native': BUDGET };
	const file: BudgetFile = {
		...FILE,
		workloads: { ...FILE.workloads, udp_rr: SIZE },
		budgets: { ...FILE.budgets, ...udp },
	};
	const workload = { ...TALK, flows: 20 };
	const kept = accept(file, { kernel: '7.3.4', workload, measured: { 'tcp_rr/none/native': FIGURES } });
	expect(Object.keys(kept.budgets)).toEqual(['tcp_rr/none/native', 'udp_rr/none/native']);
	expect(kept.workloads).toEqual({ tcp_rr: { ...SIZE, flows: 20 }, udp_rr: SIZE });
});

test('what moved is said figure by figure, and what is beyond its tolerance is marked', () => {
	const programs = { ...FIGURES.programs, ingress_peer: 300 };
	const said = showMoves(movesOf(BUDGET, { ...FIGURES, total: 30_050, programs }));
	expect(said.split('\n').map((line) => line.trim().replace(/ +/g, ' '))).toEqual([
		'budget measured moved',
		'total 30000 30050 +50 +0.2 %',
		'program ingress_peer 250 300 +50 +20 % ✗',
	]);
});

test('the command that accepts measures the same again', () => {
	expect(acceptCommand('7.3.4', 'veth', TALK)).toBe('npx pathproof perf --kernel 7.3.4 --device veth --accept');
	const small: Workload = { protocol: 'udp_rr', flows: 20, threads: 4, bytes: 64, count: 200, warm: 400 };
	expect(acceptCommand('6.12.117', 'netkit-l2', small)).toBe(
		'npx pathproof perf --kernel 6.12.117 --device netkit-l2 --workload udp_rr --flows 20 --threads 4 --bytes 64 --transactions 200 --accept',
	);
});
