/**
 * The measure that budgets stand on: what a transaction costs, in guest instructions, which are no cycles, is the same number in every
 * fork. PATHPROOF_SHOW prints the figures.
 */
import { expect, type Lab, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { medianOf } from '../support/cost/figures.ts';
import { COUNTED, type Cost, measureCost, sumOf } from '../support/cost/measure.ts';
import { SIDES } from '../support/cost/words.ts';
import { TALK } from '../support/cost/workload.ts';

const FORKS = 3;
/** Of these. What a tick of the clock takes is less than a thousandth of all, and one tick more or less in a window is 3 % of it. */
const PARTS = ['user', 'system', 'softirq'] as const;

test('500 flows of 36 threads: three forks agree on a transaction within 0.1 %, and no part of it moves by more than half of that', {
	tags: [FULL],
	timeout: 900_000,
}, async ({ lab, requires, annotate }) => {
	await requires('veth');
	const costs: Cost[] = [];
	for (let fork = 0; fork < FORKS; fork++)
		costs.push(await measureAlone(await lab({ ...COUNTED, device: 'veth', forward: 'redirect' })));
	const totals = costs.map(({ total }) => total);
	const figures = (name: string, of: (cost: Cost) => number) => ({
		name,
		each: costs.map(of),
		spread: apart(costs.map(of)) / medianOf(totals),
	});
	const total = figures('total', (cost) => cost.total);
	const parts = (['host', 'peer'] as const).flatMap((side) =>
		PARTS.map((part) => figures(`${side} ${part}`, ({ spent }) => spent[side][part])),
	);
	const said = [total, ...parts].map(
		({ name, each, spread }) =>
			`${name}: ${each.map((one) => one.toFixed(1)).join(' ')}, ${(100 * spread).toFixed(3)} %`,
	);
	await annotate(
		`instructions per transaction in ${FORKS} forks, and their spread over the total:\n${said.join('\n')}`,
	);
	if (process.env.PATHPROOF_SHOW) console.log(said.join('\n'));
	expect(total.spread).toBeLessThanOrEqual(0.001);
	for (const { name, spread } of parts) expect(spread, name).toBeLessThanOrEqual(0.0005);
	for (const { total, spent, counts } of costs) {
		expect(SIDES.reduce((sum, side) => sum + sumOf(spent[side]), 0)).toBeCloseTo(total, 3);
		expect(spent.host.hardirq + spent.peer.hardirq).toBeLessThan(total / 1000);
		expect(sumOf(spent.other)).toBeLessThan(total / 1000);
		// a request is received from the container's veth and then from the wire, each time out of a backlog; a response from the
		// wire alone: bpf_redirect_peer() hands it over where it is
		expect(counts.packetsReceived).toMatchObject({ host: 2, peer: 1 });
		expect(counts.backlogs).toEqual({ 'host:web': 1, 'host:eth0': 1, 'peer:eth0': 1 });
	}
});

/** An exact guest never rests. One that is done is stopped: it would take its time from the next. */
async function measureAlone(lab: Lab): Promise<Cost> {
	const cost = await measureCost(lab, TALK);
	await lab.vm.qmp('stop');
	return cost;
}

function apart(figures: readonly number[]): number {
	return Math.max(...figures) - Math.min(...figures);
}
