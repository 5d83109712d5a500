/** Instructions of a run that was watched, made up so that one can add them up by hand. */
import { expect, test } from 'vitest';
import type { RawCost } from '../guest/cost.ts';
import { perSyscall, unwatched } from './watched.ts';

const nothing = { time: [0, 0, 0, 0, 0], touched: [0, 0, 0, 0, 0], syscalls: 0, packets: 0 };

function raw(...spent: RawCost['spent']): RawCost {
	return { spent, switches: 0, hardirqs: 0, raised: [], softirqs: [], calls: 0, backlogs: {} };
}

test('a watched system call costs its program and the kernel more, each as much as the probe counts too many', () => {
	// ten calls of 4 instructions in the program and 330 in the kernel
	const counted = raw({ ...nothing, time: [4_100, 3_350, 0, 0, 0], syscalls: 10 }, nothing, nothing);
	expect(perSyscall(counted, { user: 4, total: 334 })).toEqual({ user: 406, system: 5 });
});

test('what watching cost is taken from where it fell, and what is left is what nobody watched', () => {
	const counted = raw(
		{ time: [1_000, 2_100, 640, 0, 0], touched: [0, 2, 6, 0, 0], syscalls: 2, packets: 1 },
		{ time: [0, 520, 500, 20, 0], touched: [0, 2, 4, 2, 0], syscalls: 0, packets: 1 },
		nothing,
	);
	// 4,780 were counted, of which the system calls' own are 820; the others were called 8 times and touch twice
	const { spent, perCall } = unwatched(counted, 3_800, { user: 400, system: 10 });
	expect(perCall).toBe(20);
	expect(spent).toEqual({
		host: { user: 200, system: 2_060, softirq: 580, hardirq: 0, idle: 0 },
		peer: { user: 0, system: 500, softirq: 460, hardirq: 0, idle: 0 },
		other: { user: 0, system: 0, softirq: 0, hardirq: 0, idle: 0 },
	});
});
