import { expect, test } from 'vitest';
import { acceptVerified, growthOf, unkept, type VerifierTable, verifierTable } from './verified.ts';

const LOADED = [
	'verification time 1104 usec',
	'stack depth 96+0',
	'processed 812 insns (limit 1000000) max_states_per_insn 4 total_states 44 peak_states 44 mark_read 12',
	'',
].join('\n');
const REFUSED = [
	'program of this type cannot use helper bpf_redirect_peer#155',
	'processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
	'',
].join('\n');

const table = (instructions: number, states: number): VerifierTable => ({
	programs: { egress_neigh: { instructions, states } },
	refused: {},
});
const BUDGET = acceptVerified(undefined, table(400, 20));

test("the verifier's own statistics are read, and of a program that it refuses what it said", () => {
	const said = [
		{ program: 'egress_neigh', log: LOADED, refused: null },
		{ program: 'ingress_peer', log: REFUSED, refused: 'redirect: the kernel does not load it: EINVAL' },
		{ program: 'ipvlan_takes', log: '', refused: 'ipvlan: the kernel does not load it: ESRCH' },
	];
	expect(verifierTable(said)).toEqual({
		programs: { egress_neigh: { instructions: 812, states: 44 } },
		refused: {
			ingress_peer: 'program of this type cannot use helper bpf_redirect_peer#155',
			ipvlan_takes: 'ipvlan: the kernel does not load it: ESRCH',
		},
	});
});

test('a program that loads without statistics is no program of 0 instructions', () => {
	expect(() => verifierTable([{ program: 'flows', log: '', refused: null }])).toThrow('nothing of flows');
});

test('growth is out of the budget, of instructions and of states; shrinking is not', () => {
	expect(growthOf(BUDGET, table(420, 21))).toEqual([]);
	expect(growthOf(BUDGET, table(100, 5))).toEqual([]);
	expect(growthOf(BUDGET, table(421, 20))).toEqual([
		{
			program: 'egress_neigh',
			budget: { instructions: 400, states: 20 },
			measured: { instructions: 421, states: 20 },
		},
	]);
	expect(growthOf(BUDGET, table(400, 22)).map(({ program }) => program)).toEqual(['egress_neigh']);
});

test('a program that is loaded no more is out of the budget; one that is new has none yet', () => {
	const measured = { instructions: 400, states: 20 };
	const anew: VerifierTable = { programs: { flows: measured }, refused: {} };
	expect(growthOf(BUDGET, anew)).toEqual([{ program: 'egress_neigh', budget: measured, measured: null }]);
	expect(unkept(BUDGET, anew)).toEqual(['flows']);
	expect(unkept(undefined, table(400, 20))).toEqual(['egress_neigh']);
});
