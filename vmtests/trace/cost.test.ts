/** What the tracer costs, in guest instructions, which are the same on every machine and are not cycles. `pathproof bench trace` shows them. */
import { expect, test } from 'pathproof';
import { COUNTED, traceCost } from '../support/bench-trace.ts';
import { FULL } from '../support/config.ts';

test('a packet costs 5,000 instructions more at most while the tracer rests, and 50,000 while it is followed', {
	tags: [FULL],
}, async ({ lab }) => {
	const { without, idle, tracing, lostEvents } = await traceCost(await lab(COUNTED), 500);
	expect(without).toBeGreaterThan(10_000);
	expect(idle).toBeGreaterThan(0);
	expect(idle).toBeLessThan(5_000);
	expect(tracing).toBeGreaterThan(idle);
	expect(tracing).toBeLessThan(50_000);
	expect(lostEvents).toBe(0);
});
