/**
 * The measure that budgets stand on: what a transaction costs, in guest instructions, which are no cycles, is the same number in every
 * fork. PATHPROOF_SHOW prints the figures.
 */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { spreadOf } from '../support/cost/figures.ts';
import { COUNTED, type Cost, measureCost, sumOf } from '../support/cost/measure.ts';
import { SIDES } from '../support/cost/words.ts';
import { TALK } from '../support/cost/workload.ts';

const FORKS = 5;
/** Of these. What a tick of the clock takes is less than a thousandth of all, and one tick more or less in a window is 3 % of it. */
const PARTS = ['user', 'system', 'softirq'] as const;

test('500 flows of 36 threads: five forks agree on a transaction within 0.1 %, and on each part of it within 0.5 %', {
	tags: [FULL],
	timeout: 1_800_000,
}, async ({ lab, requires, annotate }) => {
	await requires('veth');
	const costs: Cost[] = [];
	for (let fork = 0; fork < FORKS; fork++)
		costs.push(await measureCost(await lab({ ...COUNTED, device: 'veth', forward: 'redirect' }), TALK));
	const figures = (name: string, of: (cost: Cost) => number) => ({
		name,
		each: costs.map(of),
		spread: spreadOf(costs.map(of)),
	});
	const total = figures('total', (cost) => cost.total);
	const parts = (['host', 'peer'] as const).flatMap((side) =>
		PARTS.map((part) => figures(`${side} ${part}`, ({ spent }) => spent[side][part])),
	);
	const said = [total, ...parts].map(
		({ name, each, spread }) =>
			`${name}: ${each.map((one) => one.toFixed(1)).join(' ')}, ${(100 * spread).toFixed(3)} %`,
	);
	await annotate(`instructions per transaction in ${FORKS} forks, and their spread:\n${said.join('\n')}`);
	if (process.env.PATHPROOF_SHOW) console.log(said.join('\n'));
	expect(total.spread).toBeLessThanOrEqual(0.001);
	for (const { name, spread } of parts) expect(spread, name).toBeLessThanOrEqual(0.005);
	for (const { total, spent, counts } of costs) {
		expect(SIDES.reduce((sum, side) => sum + sumOf(spent[side]), 0)).toBeCloseTo(total, 3);
		expect(spent.host.hardirq + spent.peer.hardirq).toBeLessThan(total / 1000);
		expect(sumOf(spent.other)).toBeLessThan(total / 1000);
		// a request and a response, each of one wire, and each through the wire's backlog alone
		expect(counts.packetsReceived).toMatchObject({ host: 1, peer: 1 });
		expect(counts.backlogs).toEqual({ 'host:eth0': 1, 'peer:eth0': 1 });
	}
});
