/** Two traces, from two kernels or two devices, as the document and the picture of `pathproof diff`. */
import { z } from 'zod';
import { PathproofError } from '../../kernels/errors.ts';
import { type DiffDocument, diffDocument, hopDocument, packetDocument, traceDocument } from './schema/trace.ts';
import { type Line, type Meaning, span } from './tour/line.ts';
import { type DrawnRow, drawRows } from './trace/compare.ts';
import { compareFlows, type WayPair } from './trace/flows.ts';
import type { Step } from './trace/path.ts';

/** What a comparison needs of `pathproof trace --json`: a trace recorded before other fields were added will do, and so will a live one. */
const comparable = z.object({
	schema: traceDocument.shape.schema,
	kernel: traceDocument.shape.kernel,
	device: traceDocument.shape.device.nullable().default(null),
	forward: traceDocument.shape.forward.nullable().default(null),
	lostEvents: traceDocument.shape.lostEvents,
	untraced: traceDocument.shape.untraced,
	packets: z
		.array(
			z.object({
				...packetDocument.pick({ direction: true, lostEvents: true }).shape,
				hops: z.array(z.object(hopDocument.pick({ hop: true, attach: true, program: true, verdict: true }).shape)),
			}),
		)
		.nonempty('no packet was traced'),
});

export type ComparableTrace = z.infer<typeof comparable>;

export interface Diff {
	document: DiffDocument;
	lines: Line[];
}

const HINT = 'pathproof trace --json > FILE';

/** Throws stage `usage` for what is no trace. */
export function readTrace(text: string, name: string): ComparableTrace {
	try {
		return toComparable(JSON.parse(text), name);
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		throw new PathproofError(`${name} is no JSON: ${error.message}`, { stage: 'usage', hint: HINT, cause: error });
	}
}

/** Throws stage `usage` for what is no trace, stage `call` for one that missed something: of the way it says nothing. */
export function toComparable(document: unknown, name: string): ComparableTrace {
	const { data, error } = comparable.safeParse(document);
	if (error)
		throw new PathproofError(`${name} is no trace that can be compared:\n${z.prettifyError(error)}`, {
			stage: 'usage',
			hint: HINT,
		});
	const lost = Math.max(data.lostEvents ?? 0, ...data.packets.map(({ lostEvents }) => lostEvents));
	if (lost)
		throw new PathproofError(`${name}: ${lost} events were lost, so nothing can be said of the way`, {
			stage: 'call',
			hint: 'trace it again, with less traffic beside it',
		});
	const [unseen] = data.untraced ?? [];
	if (unseen)
		throw new PathproofError(
			`${name}: the program ${unseen.name} ran unseen, ${unseen.why}: the same way may not be the same`,
			{
				stage: 'call',
				hint: 'load it with its BTF (clang -g)',
			},
		);
	return data;
}

export function diffTraces(a: ComparableTrace, b: ComparableTrace): Diff {
	const pairs = compareFlows(a.packets, b.packets);
	const document = diffDocument.parse({
		schema: 1,
		same: pairs.every(({ same }) => same),
		a: sideOf(a),
		b: sideOf(b),
		ways: pairs.map(({ direction, same, rows }) => ({
			direction,
			same,
			rows: rows.map(({ left, right, same }) => ({ a: left && plain(left), b: right && plain(right), same })),
		})),
	} satisfies DiffDocument);
	const titles = { left: titleOf(a), right: titleOf(b) };
	return { document, lines: pairs.flatMap((pair, index) => [...(index ? [[]] : []), ...drawPair(pair, titles)]) };
}

function sideOf({ kernel, device, forward }: ComparableTrace): DiffDocument['a'] {
	return { kernel, device, forward };
}

function plain({ hop, attach, program, verdict }: Step): Step {
	return { hop, attach, program, verdict };
}

function titleOf({ kernel, device, forward }: ComparableTrace): string {
	return [kernel, device, forward].filter(Boolean).join(' ');
}

const MEANINGS: Record<DrawnRow['mark'], Meaning> = { ' ': 'plain', '≠': 'bad', '·': 'bypassed' };

function drawPair({ direction, same, rows }: WayPair, titles: { left: string; right: string }): Line[] {
	const drawn = drawRows(rows);
	const width = Math.max(...[titles, ...drawn].map(({ left }) => left.length));
	const line = (mark: string, left: string, right: string, meaning: Meaning): Line => [
		span(`  ${mark} ${left.padEnd(width)}  `, meaning),
		span('│ ', 'frame'),
		span(right, meaning),
	];
	return [
		[span(`${direction}: `, 'title'), same ? span('the same', 'good') : span('not the same', 'bad')],
		line(' ', titles.left, titles.right, 'title'),
		...drawn.map(({ mark, left, right }) => line(mark, left, right, MEANINGS[mark])),
	];
}
