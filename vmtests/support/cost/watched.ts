/** From what the probe counted to what the same window costs where nobody watches. Pure. */
import type { RawCost } from '../guest/cost.ts';
import { PARTS, type Part, SIDES, type Side } from './words.ts';

export type Spent = Record<Part, number>;

/** Instructions that watching a system call adds, by where the probe counts them. */
export interface PerSyscall {
	user: number;
	system: number;
}

export interface Unwatched {
	spent: Record<Side, Spent>;
	/** of each of the probe's programs, but those of system calls, half of it before its first clock and half behind its last */
	perCall: number;
}

/**
 * Of a probed run of nothing but system calls: `user` instructions of each are the program's own, `total` is what each takes where
 * nobody watches.
 */
export function perSyscall({ spent }: RawCost, { user, total }: { user: number; total: number }): PerSyscall {
	const { time, syscalls } = spent[SIDES.indexOf('host')]!;
	const each = (part: Part) => time[PARTS.indexOf(part)]! / syscalls;
	return { user: each('user') - user, system: each('system') - (total - user) };
}

/**
 * Takes off what watching cost. `total` is that of the same window where nobody watched, so that what is left adds up to it: system
 * calls cost what `syscall` says, and what remains was the other programs', which cost the same each time.
 */
export function unwatched(raw: RawCost, total: number, syscall: PerSyscall): Unwatched {
	const known = raw.spent.map(({ time, syscalls }) =>
		time.map((spent, part) => spent - syscalls * (syscall[PARTS[part] as keyof PerSyscall] ?? 0)),
	);
	const touched = raw.spent.reduce((sum, { touched }) => sum + add(touched), 0);
	const perTouch = touched ? (add(known.flat()) - total) / touched : 0;
	const rows = known.map((times, side) => times.map((time, part) => time - perTouch * raw.spent[side]!.touched[part]!));
	return {
		spent: Object.fromEntries(
			SIDES.map((side, row) => [side, Object.fromEntries(PARTS.map((part, column) => [part, rows[row]![column]!]))]),
		) as Record<Side, Spent>,
		perCall: 2 * perTouch,
	};
}

const add = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
