/** The document of `pathproof perf --growth` as a table. Pure. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { GrowthDocument } from '../schema/cost.ts';

const HEAD = ['kernel', 'device', 'forward', 'of', 'host', 'exponent', 'a packet', 'exponent'];

export function growthTable({ workload, curves, profile, accel }: GrowthDocument): string {
	const { name, flows, threads, bytes } = workload;
	const table = new Table({ head: HEAD, style: { head: [], border: [] } });
	for (const { kernel, device, forward, axis, points, exponents } of curves)
		table.push([
			kernel,
			device,
			forward,
			points.map(({ at }) => `${at} ${at === 1 ? axis.replace(/s$/, '') : axis}`).join('\n'),
			points.map(({ host }) => host.toFixed(0)).join('\n'),
			exponents.host.toFixed(4),
			points.map(({ perPacket }) => perPacket.toFixed(0)).join('\n'),
			exponents.perPacket.toFixed(4),
		]);
	return [
		styleText('bold', `guest instructions per transaction, as it grows: ${name}`),
		table.toString(),
		`Along one, the others stay: ${flows} flows, ${threads} threads, ${bytes} bytes, one container. Host: the container and its host. A packet: of the`,
		'whole guest, of each packet that a device received. The exponent b of a·xᵇ: 0 is flat, 1 in proportion.',
		`Profile ${profile}, ${accel}. Instructions are not cycles: they say nothing of caches.`,
	].join('\n');
}
