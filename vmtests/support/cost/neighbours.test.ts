/** Rows that were made up so that one can add them up by hand. */
import { expect, test } from 'vitest';
import { changes } from './neighbours.ts';
import { type Measured, perfRow } from './perf-rows.ts';
import { TALK } from './workload.ts';

const NOTHING = { user: 0, system: 0, softirq: 0, hardirq: 0, idle: 0 };

function row(kernel: string, device: 'none' | 'veth', host: { user: number; system: number; softirq: number }) {
	const spent = { host: { ...NOTHING, ...host }, peer: NOTHING, other: NOTHING };
	const bySide = { host: 0, peer: 0, other: 0 };
	const measured: Measured = {
		cell: { device, forward: device === 'none' ? 'native' : 'redirect' },
		costs: [
			{
				kernel,
				workload: TALK,
				total: host.user + host.system + host.softirq,
				spent,
				watching: { user: 0, system: 0, perCall: 0, total: 0 },
				counts: {
					contextSwitches: 0,
					hardirqs: 0,
					softirqsRaised: {},
					softirqsRun: {},
					systemCalls: bySide,
					packetsReceived: bySide,
					backlogs: {},
				},
				programs: {},
			},
		],
	};
	return perfRow(measured, measured, null);
}

test('each kernel is compared with the one before it, where both have the device, and the largest part comes first', () => {
	const rows = [
		row('6.1', 'none', { user: 100, system: 600, softirq: 300 }),
		row('6.12', 'none', { user: 100, system: 640, softirq: 200 }),
		row('6.12', 'veth', { user: 100, system: 800, softirq: 500 }),
		row('7.3', 'veth', { user: 100, system: 800, softirq: 450 }),
	];
	expect(changes(rows)).toEqual([
		{
			...{ from: '6.1', to: '6.12', device: 'none', forward: 'native', before: 1000, after: 940 },
			parts: [
				{ part: 'softirq', by: -100 },
				{ part: 'system', by: 40 },
			],
		},
		{
			...{ from: '6.12', to: '7.3', device: 'veth', forward: 'redirect', before: 1400, after: 1350 },
			parts: [{ part: 'softirq', by: -50 }],
		},
	]);
});

test('one kernel has changed from nothing', () => {
	expect(changes([row('6.1', 'none', { user: 1, system: 2, softirq: 3 })])).toEqual([]);
});
