/** `pathproof bench boot`: how long a cold boot and a restored fork take, of a kernel and of a lab with one container. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import { remove } from '../../kernels/cache.ts';
import { coldBoot, median, serialSuite, warmFork } from '../../kernels/measure.ts';
import type { ForkRequest } from '../../kernels/pool-protocol.ts';
import { type Template, Templates } from '../../kernels/templates.ts';
import { openLab } from './lab.ts';
import { note } from './note.ts';
import type { ProvidedKernel } from './provided.ts';
import type { BootDocument } from './schema/machine.ts';
import { selectKernels } from './select.ts';
import { Session } from './session.ts';

/** One-call tests of the serial suite, and forks made ahead of it. */
const TESTS = 50;
const SPARES = 4;

export interface BenchOptions {
	kernel: string;
	runs: number;
	json?: boolean;
}

type Row = BootDocument['kernels'][number];

export async function benchBoot({ kernel: selector, runs, json }: BenchOptions): Promise<void> {
	const rows: (Row & { qemu: string; accel: 'kvm' | 'tcg' })[] = [];
	for (const kernel of await selectKernels(selector)) {
		note(`linux ${kernel.id}: ${runs} cold boots, ${runs} forks, ${TESTS} tests one after the other; then a lab`);
		rows.push(await benchKernel(kernel, runs));
	}
	const { qemu, accel } = rows[0]!;
	const document = { schema: 1 as const, profile: 'functional' as const, accel, qemu, kernels: rows };
	if (json) console.log(JSON.stringify(document));
	else console.log(table(rows, `QEMU ${qemu}, ${accel}, medians of ${runs} runs`));
}

async function benchKernel(
	kernel: ProvidedKernel,
	runs: number,
): Promise<Row & { qemu: string; accel: 'kvm' | 'tcg' }> {
	const templates = new Templates(note);
	const template = await templates.kernel(kernel.request, 'functional');
	const { guest } = template;
	const colds = await times(runs, () => coldBoot(guest));
	const forks = await measureForks(template, runs);
	const waits = await serialSuite(kernel.request, TESTS, SPARES);
	const lab = await benchLab(kernel, templates, runs);
	await templates.close();
	const coldMs = median(colds);
	return {
		kernel: guest.kernel.id,
		flavour: guest.kernel.flavour,
		tier: guest.kernel.tier,
		runs,
		coldMs: round(coldMs),
		restoreMs: round(forks.ms),
		ratio: round(coldMs / forks.ms),
		privateMiB: round(forks.privateMiB),
		waitMs: round(median(waits)),
		lab,
		qemu: guest.qemu,
		accel: guest.accel,
	};
}

/** A lab of one container, built anew, then forked. */
async function benchLab(kernel: ProvidedKernel, templates: Templates, runs: number) {
	const key = await buildLab(kernel);
	const first = await templates.lab(kernel.request, 'functional', key);
	await templates.close();
	remove(first.kind, first.key);
	await buildLab(kernel);
	const again = new Templates(note);
	const lab = await again.lab(kernel.request, 'functional', key);
	const forks = await measureForks(lab, runs);
	await again.close();
	return { builtMs: round(lab.record.bootMs), restoreMs: round(forks.ms), privateMiB: round(forks.privateMiB) };
}

/** Answers the lab's key, as its first fork was asked for. */
async function buildLab(kernel: ProvidedKernel): Promise<string> {
	await using session = await Session.open(note);
	const asked = Promise.withResolvers<string>();
	const forks = {
		take(wanted: ForkRequest) {
			asked.resolve(wanted.lab!);
			return session.client.fork(wanted);
		},
	};
	await openLab({ forks, pool: session.client, kernel })({ forward: 'redirect' });
	return asked.promise;
}

async function measureForks(template: Template, runs: number): Promise<{ ms: number; privateMiB: number }> {
	const forks = await times(runs, () => warmFork(template));
	return { ms: median(forks.map(({ ms }) => ms)), privateMiB: median(forks.map(({ privateMiB }) => privateMiB)) };
}

async function times<T>(count: number, once: () => Promise<T>): Promise<T[]> {
	const results: T[] = [];
	for (let run = 0; run < count; run++) results.push(await once());
	return results;
}

function table(rows: readonly Row[], title: string): string {
	const drawn = new Table({
		head: ['kernel', 'cold boot', 'fork', 'ratio', 'memory per fork', 'wait for a fork', 'lab: built', 'lab: fork'],
		style: { head: [], border: [] },
		colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right'],
	});
	for (const { kernel, coldMs, restoreMs, ratio, privateMiB, waitMs, lab } of rows) {
		const { builtMs, restoreMs: labMs } = lab as Awaited<ReturnType<typeof benchLab>>;
		drawn.push([
			kernel,
			`${coldMs} ms`,
			`${restoreMs} ms`,
			`${ratio} ×`,
			`${privateMiB} MiB`,
			`${waitMs} ms`,
			`${builtMs} ms`,
			`${labMs} ms`,
		]);
	}
	return `${styleText('bold', title)}\n${drawn}`;
}

const round = (value: number) => Math.round(value * 10) / 10;
