/**
 * The documents that `--json` prints, as zod schemas; `fixtures/schemas/*.json` holds them as JSON schemas for other languages, written by
 * `node vmtests/support/schema/write.ts`. Version 1 may gain fields and loses none.
 */
import { z } from 'zod';
import { growthDocument, perfDocument, traceCostDocument, verifierDocument } from './cost.ts';
import { bootDocument, doctorDocument } from './machine.ts';
import {
	netChangeDocument,
	netCheckDocument,
	netLsDocument,
	netShowDocument,
	netTlsFlowsDocument,
	netTlsLsDocument,
} from './net.ts';
import { diffDocument, liveDocument, tourDocument, traceDocument } from './trace.ts';

/** By the stem of its file in `fixtures/schemas`. */
export const DOCUMENTS = {
	trace: traceDocument,
	live: liveDocument,
	diff: diffDocument,
	tour: tourDocument,
	boot: bootDocument,
	'trace-cost': traceCostDocument,
	perf: perfDocument,
	growth: growthDocument,
	verifier: verifierDocument,
	doctor: doctorDocument,
	'net-change': netChangeDocument,
	'net-ls': netLsDocument,
	'net-show': netShowDocument,
	'net-check': netCheckDocument,
	'net-tls-ls': netTlsLsDocument,
	'net-tls-flows': netTlsFlowsDocument,
} as const;

/** The text of `fixtures/schemas/NAME.json`. */
export function jsonSchema(name: keyof typeof DOCUMENTS): string {
	return `${JSON.stringify(z.toJSONSchema(DOCUMENTS[name]), null, '\t')}\n`;
}
