import { expect, test } from 'vitest';
import type { GrowthDocument } from '../schema/cost.ts';
import { growthPicture } from './growth-picture.ts';
import { growthTable } from './growth-table.ts';

const point = (at: number, host: number) => ({
	at,
	host,
	total: 2 * host,
	packets: 3,
	perPacket: (2 * host) / 3,
	programs: {},
});
const GROWN: GrowthDocument = {
	schema: 1,
	profile: 'exact',
	accel: 'tcg',
	unit: 'guest instructions per transaction; instructions are not cycles',
	workload: { name: 'tcp_rr', flows: 50, threads: 4, bytes: 64, transactions: 500, warm: 1000 },
	curves: [
		{
			kernel: '7.3.4',
			device: 'veth',
			forward: 'redirect',
			axis: 'flows',
			points: [point(1, 12_000), point(100, 12_000)],
			exponents: { host: 0, perPacket: 0 },
		},
		{
			kernel: '7.3.4',
			device: 'veth',
			forward: 'redirect',
			axis: 'bytes',
			points: [point(64, 12_000), point(6_400, 120_000)],
			exponents: { host: 0.5, perPacket: 0.5 },
		},
	],
};

test('what stays is drawn level, what grows rises, and both say by which power', () => {
	const picture = growthPicture(GROWN);
	const lines = [...picture.matchAll(/<polyline points="([^"]+)"/g)].map(([, points]) =>
		points!.split(' ').map((point) => point.split(',').map(Number)),
	);
	expect(lines).toHaveLength(2);
	const [level, rising] = lines as number[][][];
	expect(level![0]![1]).toBe(level![1]![1]);
	// a picture's y grows downwards
	expect(rising![0]![1]).toBeGreaterThan(rising![1]![1]!);
	expect(picture).toContain('linux 7.3.4 veth redirect: flows^0.000, bytes^0.500');
});

test('the table has a line for each point, and the exponent of each curve', () => {
	const table = growthTable(GROWN);
	expect(table).toMatch(/│ 1 flow +│ 12000 +│ 0\.0000 +│ 8000 +│ 0\.0000 +│/);
	expect(table).toMatch(/│ 6400 bytes +│ 120000 │/);
	expect(table).toContain('Instructions are not cycles');
});
