/** The document of `pathproof perf` as a table. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { PerfDocument } from '../schema.ts';

const HEAD = ['kernel', 'device', 'forward', 'user', 'system', 'softirq', 'host', 'peer', 'total', 'added', '', 'hops'];

export function perfTable({ qemu, accel, profile, workload, rows }: PerfDocument): string {
	const drawn = new Table({
		head: [...HEAD, 'spread'],
		style: { head: [], border: [] },
		colAligns: ['left', 'left', 'left', ...Array<'right'>(HEAD.length - 2).fill('right')],
	});
	for (const row of rows) {
		const figures = [row.user, row.system, row.softirq, row.instructionsPerTransaction, row.peer, row.total];
		drawn.push([
			row.kernel,
			row.device,
			row.forward,
			...figures.map((figure) => figure.toFixed(0)),
			`+${row.added.toFixed(0)}`,
			`${((100 * row.added) / (row.total - row.added)).toFixed(1)} %`,
			row.backlogHops,
			row.spread === null ? '' : `${(100 * row.spread).toFixed(3)} %`,
		]);
	}
	const { name, flows, threads, bytes, transactions } = workload;
	const title = `guest instructions per transaction: ${name}, ${flows} flows, ${threads} threads, ${bytes} bytes, ${transactions} transactions`;
	return [
		styleText('bold', title),
		drawn.toString(),
		'host: the container and its host, in user mode, in the kernel, in softirqs; peer: the machine beyond the uplink; added: to none.',
		`Profile ${profile}, ${accel}, QEMU ${qemu}, one vCPU for all of it. Instructions are not cycles: they say nothing of caches.`,
	].join('\n');
}
