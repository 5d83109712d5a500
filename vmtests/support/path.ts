/**
 * A path as a test writes it:
 *
 *     path`web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], …, peer udp deliver`
 *
 * Steps are divided by commas. A step is a hop's name and, in brackets, what ran there: `[program]`, `[attach program]`,
 * `[→ verdict]` or any of them together (`->` does for `→`). What a step leaves out may be anything; `…` (or `...`) stands for
 * any number of hops. Values are put in with `${}`: device names, steps, or whole paths.
 */
import { PathproofError } from '../../kernels/errors.ts';
import type { Hop } from './types.ts';

/** What a program is attached by: `Hop.attach`. A lone word in brackets that is none of these is a program's name. */
export const ATTACHMENTS = ['netkit', 'tcx', 'clsact', 'xdp', 'cgroup', 'sk_lookup'] as const;
/** `Hop.verdict` */
export const VERDICTS = ['pass', 'drop', 'redirect', 'next', 'tx', 'aborted'] as const;

export interface Step {
	hop: string;
	attach: string | null;
	program: string | null;
	verdict: string | null;
}

export type PathStep = Step | 'any';

export class Path {
	readonly steps: readonly PathStep[];

	constructor(steps: readonly PathStep[]) {
		this.steps = steps;
	}

	toString(): string {
		return this.steps.map(formatStep).join(', ');
	}
}

export function path(strings: TemplateStringsArray, ...values: readonly (string | Path)[]): Path {
	return parsePath(String.raw({ raw: strings.map(String) }, ...values.map(String)));
}

/** Throws a PathproofError (`usage`) where the text is no path. */
export function parsePath(text: string): Path {
	const steps = text.split(',').map((step) => step.replace(/\s+/g, ' ').trim());
	if (steps.at(-1) === '' && steps.length > 1) steps.pop();
	return new Path(steps.map((step) => (step === '…' || step === '...' ? 'any' : parseStep(step))));
}

const STEP = /^(?<hop>[^[\]→]+?) ?(?:\[(?<ran>[^[\]]*)\])?$/;

/** One step of a path, which is also how a single hop is named: `host:web ingress[egress_neigh → redirect]`. */
export function parseStep(text: string): Step {
	const { hop, ran } = STEP.exec(text.trim())?.groups ?? {};
	if (!hop)
		throw wrong(
			`"${text}" is no hop of a path`,
			'write a place and a direction, e.g. `host:web ingress[redirect_neigh → redirect]`',
		);
	return { hop, ...parseRan(ran, text) };
}

function parseRan(ran: string | undefined, text: string): Omit<Step, 'hop'> {
	if (ran === undefined) return { attach: null, program: null, verdict: null };
	const [before = '', verdict, ...more] = ran.split(/→|->/).map((part) => part.trim());
	const words = before.split(' ').filter(Boolean);
	const attach = isOneOf(ATTACHMENTS, words[0]) ? words.shift()! : null;
	if (more.length || words.length > 1 || verdict === '' || (!attach && !words.length && !verdict))
		throw wrong(
			`"${text}": "${ran}" does not say what ran there`,
			'write `[program]`, `[attach program → verdict]` or `[→ verdict]`',
		);
	if (verdict && !isOneOf(VERDICTS, verdict))
		throw wrong(`"${text}": "${verdict}" is no verdict`, `use one of ${VERDICTS.join(', ')}`);
	return { attach, program: words[0] ?? null, verdict: verdict ?? null };
}

function isOneOf(words: readonly string[], word: string | undefined): boolean {
	return word !== undefined && words.includes(word);
}

function wrong(message: string, hint: string): PathproofError {
	return new PathproofError(message, { stage: 'usage', hint });
}

export function formatStep(step: PathStep): string {
	if (step === 'any') return '…';
	const ran = [step.attach, step.program, step.verdict && `→ ${step.verdict}`].filter(Boolean).join(' ');
	return ran ? `${step.hop}[${ran}]` : step.hop;
}

/** A hop in the notation of a path. */
export function formatHop(hop: Hop): string {
	return formatStep({ hop: hop.hop, attach: hop.attach, program: hop.program, verdict: hop.verdict });
}

export function stepMatches(step: Step, hop: Hop): boolean {
	return (
		step.hop === hop.hop &&
		(step.attach === null || step.attach === hop.attach) &&
		(step.program === null || step.program === hop.program) &&
		(step.verdict === null || step.verdict === hop.verdict)
	);
}

/** A step of the expected path beside the hop that was taken; null where one of them has come to its end. */
export interface Row {
	expected: PathStep | null;
	taken: Hop | null;
}

export interface Comparison {
	follows: boolean;
	rows: Row[];
	/** index of the first row that differs; `rows.length` where the path was followed */
	differs: number;
}

/** Compares from the first hop on; `…` takes as few hops as will do. */
export function comparePath(steps: readonly PathStep[], hops: readonly Hop[]): Comparison {
	let furthest: { rows: Row[]; met: number; at: number } = { rows: [], met: 0, at: 0 };
	const follow = (met: number, at: number, rows: Row[]): boolean => {
		if (met + at >= furthest.met + furthest.at) furthest = { rows, met, at };
		const step = steps[met];
		if (step === undefined) return at === hops.length;
		if (step === 'any') {
			const skipped = (next: number) => hops.slice(at, next).map((taken) => ({ expected: step, taken }));
			for (let next = at; next <= hops.length; next++)
				if (follow(met + 1, next, [...rows, ...skipped(next)])) return true;
			return false;
		}
		const taken = hops[at];
		return (
			taken !== undefined && stepMatches(step, taken) && follow(met + 1, at + 1, [...rows, { expected: step, taken }])
		);
	};
	const follows = follow(0, 0, []);
	return {
		follows,
		rows: [...furthest.rows, ...beside(steps.slice(furthest.met), hops.slice(furthest.at))],
		differs: furthest.rows.length,
	};
}

function beside(steps: readonly PathStep[], hops: readonly Hop[]): Row[] {
	return Array.from({ length: Math.max(steps.length, hops.length) }, (_, index) => ({
		expected: steps[index] ?? null,
		taken: hops[index] ?? null,
	}));
}
