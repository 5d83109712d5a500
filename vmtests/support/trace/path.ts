/**
 * A path as a test writes it:
 *
 *     path`web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], …, peer udp deliver`
 *
 * Steps are divided by commas. A step is a hop's name and, in brackets, what ran there: `[program]`, `[attach program]`,
 * `[→ verdict]` or any of them together (`->` does for `→`). What a step leaves out may be anything; `…` (or `...`) stands for
 * any number of hops. Values are put in with `${}`: device names, steps, or whole paths.
 */
import { PathproofError } from '../../../kernels/errors.ts';

/** What a program is attached by: `Hop.attach`. A lone word in brackets that is none of these is a program's name. */
export const ATTACHMENTS = ['netkit', 'tcx', 'clsact', 'xdp', 'cgroup', 'sk_lookup'] as const;
/** `Hop.verdict` */
export const VERDICTS = ['pass', 'drop', 'redirect', 'next', 'tx', 'aborted'] as const;

/** What a path says of a hop, which is one of these itself; null where a path leaves it open, or where no program ran. */
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

/** In the notation of a path. */
export function formatStep(step: PathStep): string {
	if (step === 'any') return '…';
	const ran = [step.attach, step.program, step.verdict && `→ ${step.verdict}`].filter(Boolean).join(' ');
	return ran ? `${step.hop}[${ran}]` : step.hop;
}

/** A hop in the same notation. */
export function formatHop(hop: Step): string {
	return formatStep(hop);
}

export function stepMatches(step: Step, hop: Step): boolean {
	return (
		step.hop === hop.hop &&
		(step.attach === null || step.attach === hop.attach) &&
		(step.program === null || step.program === hop.program) &&
		(step.verdict === null || step.verdict === hop.verdict)
	);
}
