/** What it takes the verifier to let a program in, and what it may take: of each kernel, and growth alone is out of it. Pure. */
import { z } from 'zod';
import type { VerifierSays } from '../guest/verifier.ts';

/** Of a budget that is new. The kernel gives up at a million instructions: a budget is there to see one coming, not each comma. */
const TOLERANCE = 0.05;

const verified = z.strictObject({
	/** that it went through, those of each branch and of each loop */
	instructions: z.int(),
	/** that it kept, to know where it had been before */
	states: z.int(),
});
export type Verified = z.infer<typeof verified>;

export const verifierBudget = z.strictObject({
	tolerance: z.number().positive().lt(1),
	programs: z.record(z.string(), verified),
});
export type VerifierBudget = z.infer<typeof verifierBudget>;

/** By program, those that are loaded in the order of their objects; of the others, what the kernel said. */
export interface VerifierTable {
	programs: Record<string, Verified>;
	refused: Record<string, string>;
}

/** Throws where a log has no statistics: no budget could be kept of it. */
export function verifierTable(said: readonly VerifierSays[]): VerifierTable {
	const [loaded, refused] = [said.filter((one) => one.refused === null), said.filter((one) => one.refused !== null)];
	return {
		programs: Object.fromEntries(loaded.map(({ program, log }) => [program, parse(program, log)])),
		refused: Object.fromEntries(refused.map(({ program, refused, log }) => [program, lastLine(log) ?? refused!])),
	};
}

/** kernel/bpf/verifier.c, print_verification_stats() */
function parse(program: string, log: string): Verified {
	const found = /^processed (?<instructions>\d+) insns .*\btotal_states (?<states>\d+)/m.exec(log)?.groups;
	if (!found) throw new Error(`the verifier says nothing of ${program}: ${log}`);
	return { instructions: Number(found.instructions), states: Number(found.states) };
}

/** But for the statistics. */
function lastLine(log: string): string | undefined {
	return log
		.split('\n')
		.filter((line) => line && !line.startsWith('processed '))
		.at(-1);
}

export interface Growth {
	program: string;
	budget: Verified;
	/** null: it is loaded no more */
	measured: Verified | null;
}

/** What has grown by more than the tolerance, or is loaded no more. */
export function growthOf({ programs: kept, tolerance }: VerifierBudget, { programs }: VerifierTable): Growth[] {
	return Object.entries(kept).flatMap(([program, budget]) => {
		const measured = programs[program] ?? null;
		const grown = (figure: keyof Verified) => measured![figure] > budget[figure] * (1 + tolerance);
		return measured && !grown('instructions') && !grown('states') ? [] : [{ program, budget, measured }];
	});
}

/** Programs that nothing is kept of: all, where nothing is kept of the kernel. */
export function unkept(budget: VerifierBudget | undefined, { programs }: VerifierTable): string[] {
	return Object.keys(programs).filter((program) => !budget?.programs[program]);
}

/** The verifier's figures are the same each time: all are kept as they are. */
export function acceptVerified(budget: VerifierBudget | undefined, { programs }: VerifierTable): VerifierBudget {
	return { tolerance: budget?.tolerance ?? TOLERANCE, programs };
}
