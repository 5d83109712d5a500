/**
 * Many containers on one kernel, added through the library in one process. Costs are instructions that the guest's one CPU ran, its
 * kernel's threads and `ip` included, and no waiting: the same on every machine. Node compiles what it runs often, and collects what it
 * has used: a cost is the median of neighbours.
 */
import { describe, expect, type Lab, type Remote, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { COUNTED, measureCost, sumOf } from '../support/cost/measure.ts';
import type { Workload } from '../support/cost/workload.ts';
import type { Cost, Footprint } from '../support/guest/scale.ts';

const GUEST = 'vmtests/support/guest/scale.ts';
type Guest = Remote<typeof import('../support/guest/scale.ts')>;

const DEVICES = [
	{ device: 'veth', needs: 'veth' },
	{ device: 'netkit-l3', needs: 'netkit' },
] as const;
type Device = (typeof DEVICES)[number]['device'];

/** Bytes of a container, its netns above all: 570 KiB were measured on 7.3. */
const MEMORY_EACH = 1_000_000;
/** Bytes of a container in the maps: 1.4 KiB were measured, most of it what it was asked to be. */
const MAPS_EACH = 2_500;

/** What the others are compared with. */
const FEW = 10;
/** A call to a guest ends in time. */
const AT_ONCE = 5;

async function add(guest: Guest, device: Device, first: number, last: number): Promise<Cost[]> {
	const costs: Cost[] = [];
	for (let next = first; next <= last; next += AT_ONCE) {
		costs.push(...(await guest.addMany({ first: next, last: Math.min(next + AT_ONCE - 1, last) }, device, 'redirect')));
		if (process.env.PATHPROOF_SHOW)
			console.log(
				next,
				costs
					.slice(-AT_ONCE)
					.map(({ running }) => (running / 1e6).toFixed(1))
					.join(' '),
			);
	}
	return costs;
}

async function remove(guest: Guest, first: number, last: number): Promise<void> {
	for (let next = first; next <= last; next += AT_ONCE)
		await guest.removeMany({ first: next, last: Math.min(next + AT_ONCE - 1, last) });
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Of those up to the `last`-th, counted from 1. */
function costAround(costs: readonly Cost[], last: number, neighbours: number): number {
	return median(costs.slice(last - neighbours, last).map(({ running }) => running));
}

function costInWords({ running, elapsed }: Cost): string {
	return `${(running / 1e6).toFixed(1)} million instructions, ${Math.round(elapsed / 1e6)} ms of the guest's clock`;
}

/** What nobody has when it is gone. */
function left({ pins, links, netns }: Footprint) {
	return { pins, links, netns };
}

describe.for(DEVICES)('$device', ({ device, needs }) => {
	const title = '20 containers: the last costs what the tenth did, all reach the peer, and nothing is left of them';
	test(title, { tags: [FULL] }, async ({ lab, requires }) => {
		await requires('veth', needs);
		const made = await counted(lab);
		const { costs, transactions } = await lifeOf(made, device, 20);
		expect(transactions.many / transactions.few).toBeLessThan(1.02);
		expect(costAround(costs, 20, 5) / costAround(costs, 10, 5)).toBeLessThan(1.2);
	});

	test('500 containers: the last costs what the tenth did, and each some memory', {
		tags: [FULL],
		timeout: 3_600_000,
	}, async ({ lab, requires, annotate }) => {
		await requires('veth', needs);
		const made = await counted(lab);
		const { costs, transactions, before, after } = await lifeOf(made, device, 500);
		const each = (of: (one: Footprint) => number) => (of(after) - of(before)) / 500;
		const memory = each(({ memoryAvailable }) => -memoryAvailable);
		// a row each in `containers` and `records`, two in `endpoints`
		const maps = each((one) => Object.values(one.maps).reduce((sum, bytes) => sum + bytes, 0));
		const words = [1, 100, 500].map((number) => `${number}: ${costInWords(costs[number - 1]!)}`);
		const said = `add ${words.join('; ')}. Each: ${Math.round(memory)} bytes of memory, ${maps} of maps`;
		await annotate(said);
		if (process.env.PATHPROOF_SHOW) console.log(said);
		expect(transactions.many / transactions.few).toBeLessThan(1.02);
		const tenth = costAround(costs, 15, 10);
		expect(costAround(costs, 105, 10) / tenth).toBeLessThan(1.2);
		expect(costAround(costs, 500, 10) / tenth).toBeLessThan(1.2);
		expect(memory).toBeLessThan(MEMORY_EACH);
		expect(maps).toBeLessThan(MAPS_EACH);
	});
});

const WORKLOAD: Workload = { protocol: 'tcp_rr', flows: 50, threads: 4, bytes: 1, count: 500, warm: 1000 };

/** Of `web`: what the host, with its container, spends on a transaction with the peer. */
async function transactionCost(lab: Lab): Promise<number> {
	return sumOf((await measureCost(lab, WORKLOAD)).spent.host);
}

/** All of them: added, seen to reach the peer, removed. */
async function lifeOf(made: Lab, device: Device, count: number) {
	const guest: Guest = made.vm.use<typeof import('../support/guest/scale.ts')>(GUEST);
	await guest.routeMany();
	const before = await guest.footprint();
	const costs = await add(guest, device, 1, FEW);
	const few = await transactionCost(made);
	costs.push(...(await add(guest, device, FEW + 1, count)));
	const many = await transactionCost(made);
	if (process.env.PATHPROOF_SHOW) console.log('per transaction', few, many);
	const after = await guest.footprint();
	// of each its host end, its netns, and the attachment of one program
	expect(left(after)).toEqual({ pins: before.pins + count, links: before.links + count, netns: before.netns + count });
	const all = Array.from({ length: count }, (_, index) => index + 1);
	for (let first = 1; first <= count; first += 100)
		expect(await guest.reachPeer({ first, last: Math.min(first + 99, count) })).toEqual({
			there: all.slice(first - 1, first + 99),
			back: all.slice(first - 1, first + 99),
		});
	await remove(guest, 1, count);
	expect(left(await guest.footprint())).toEqual(left(before));
	return { costs, transactions: { few, many }, before, after };
}

function counted(lab: (request: object) => Promise<Lab>): Promise<Lab> {
	return lab({ ...COUNTED, device: 'veth', forward: 'redirect' });
}

test('typed, an add takes some seconds of an emulated machine, most of them to start Node', { tags: [FULL] }, async ({
	lab,
	requires,
	annotate,
}) => {
	await requires('veth');
	const { vm } = await lab({ device: 'veth', forward: 'redirect', tracer: false });
	const took: number[] = [];
	for (const number of [1, 2, 3]) {
		const words = `--device veth --forward redirect --uplink eth0,2001:db8:0:1::2,192.0.2.2 --ipv6 2001:db8:0:4::${number}`;
		const begin = performance.now();
		await vm.exec(['pathproof', 'net', 'add', `typed${number}`, ...words.split(' ')], { timeout: 60_000 });
		took.push(performance.now() - begin);
	}
	await annotate(`pathproof net add: ${Math.round(median(took))} ms on ${vm.accel}`);
	expect(JSON.parse((await vm.exec(['pathproof', 'net', 'ls', '--json'])).stdout)).toMatchObject({
		containers: [{ name: 'typed1' }, { name: 'typed2' }, { name: 'typed3' }, { name: 'web' }],
	});
});
