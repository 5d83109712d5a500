/**
 * What a test that traced packets leaves when it fails: a folder that explains the failure to somebody who was not there. In the cache,
 * under the name of the guest that is kept with it; the newest ten.
 */
import { readdirSync, statSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { cacheDir } from '../../kernels/cache.ts';
import type { PoolVm } from '../../kernels/client.ts';
import { toText } from './tour/line.ts';
import { listRoute } from './tour/plain.ts';
import { pcapng } from './trace/pcapng.ts';
import type { Trace } from './trace/trace.ts';
import type { PacketPath } from './trace/types.ts';
import { toEventDocument, toTraceDocument } from './trace-document.ts';
import type { LabState } from './types.ts';

export interface EvidenceSource {
	vm: PoolVm;
	state: LabState;
	/** of the whole test, in their order */
	traces: readonly Pick<Trace, 'packets' | 'lostEvents' | 'untraced'>[];
	/** what the test says is wrong */
	said?: readonly string[];
	/** the command that stays inside the guest; null where the guest is not kept */
	reproduce: string | null;
}

/** Beyond so many events the rest of the packets is left out: some 12 MB of text. */
const MOST_EVENTS = 20_000;
const MOST_FOLDERS = 10;
/** A guest that does not answer is not waited for: milliseconds. */
const PATIENCE = 10_000;

type File = (source: EvidenceSource, packets: readonly PacketPath[]) => string | Uint8Array | Promise<string>;

const FILES: Record<string, File> = {
	'path.txt': pathText,
	'path.json': (source, packets) =>
		`${JSON.stringify(toTraceDocument(source, { packets, ...missedBy(source.traces) }))}\n`,
	'path.pcapng': ({ vm }, packets) => pcapng(packets, { hardware: `qemu, ${vm.accel}`, os: `linux ${vm.kernel.id}` }),
	'events.jsonl': (_, packets) =>
		packets.flatMap(({ events }) => events.map((event) => `${JSON.stringify(toEventDocument(event))}\n`)).join(''),
	'console.log': ({ vm }) => vm.console(),
	'dmesg.txt': async ({ vm }) => (await vm.dmesg()).map((line) => `${line}\n`).join(''),
	'bpftool.json': ({ vm }) => bpfState(vm),
	'reproduce.sh': ({ reproduce, vm }) => {
		if (reproduce)
			return `#!/bin/sh\n# linux ${vm.kernel.id}: a shell in the guest as the test left it\n${reproduce}\n`;
		throw new Error('the guest is not kept: it is lost, or the test has not failed');
	},
};

/** What could not be had, a line for each file. */
const MISSING = 'missing.txt';

/**
 * Writes the folder. What cannot be had, as of a guest that is lost, is said in `missing.txt` and keeps nothing else away.
 * Throws only where the folder itself cannot be written.
 */
export async function writeEvidence(dir: string, source: EvidenceSource): Promise<void> {
	await mkdir(dir, { recursive: true });
	await rm(join(dir, MISSING), { force: true }); // of an earlier time
	const all = source.traces.flatMap(({ packets }) => packets);
	const packets = firstOf(all, MOST_EVENTS);
	const missing = await Promise.all(
		Object.entries(FILES).map(async ([name, make]) => {
			try {
				await writeFile(join(dir, name), await make(source, packets), { mode: name.endsWith('.sh') ? 0o755 : 0o644 });
				return [];
			} catch (error) {
				await rm(join(dir, name), { force: true }); // of an earlier time
				return [`${name}: ${error instanceof Error ? error.message : error}`];
			}
		}),
	);
	const lines = missing.flat();
	if (packets.length < all.length) lines.unshift(`all but the first ${packets.length} of ${all.length} packets`);
	if (lines.length) await writeFile(join(dir, MISSING), lines.map((line) => `${line}\n`).join(''));
}

/** The folder of a failed test, written anew; the oldest beyond ten go. Answers its path. */
export async function keepEvidence(name: string, source: EvidenceSource): Promise<string> {
	const all = join(cacheDir(), 'evidence');
	const dir = join(all, name);
	await rm(dir, { recursive: true, force: true });
	await writeEvidence(dir, source);
	await keepNewest(all, MOST_FOLDERS);
	return dir;
}

/** Of the folders in `all`, by the time they were written. */
export async function keepNewest(all: string, most: number): Promise<void> {
	// A run beside this one may take the same old folder away.
	const age = (name: string) => statSync(join(all, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
	const old = readdirSync(all)
		.sort((a, b) => age(b) - age(a))
		.slice(most);
	for (const name of old) await rm(join(all, name), { recursive: true, force: true });
}

/** As many whole packets, from the first on, as have no more events together. */
export function firstOf(packets: readonly PacketPath[], mostEvents: number): readonly PacketPath[] {
	let events = 0;
	const end = packets.findIndex((packet) => {
		events += packet.events.length;
		return events > mostEvents;
	});
	return end < 0 ? packets : packets.slice(0, end);
}

/** What the test said, and below it every packet of every trace, a line for each hop. */
function pathText({ vm, state, traces, said = [] }: EvidenceSource, packets: readonly PacketPath[]): string {
	const { device, forward } = state.options;
	const listed = new Set(packets);
	const sections = traces.map((trace, index) => [
		`linux ${vm.kernel.id} (${vm.accel}), ${device} ${forward}, trace ${index + 1} of ${traces.length}, packets: ${trace.packets.length}`,
		...trace.packets
			.filter((packet) => listed.has(packet))
			.flatMap((packet) => ['', ...listRoute(`${device} ${forward}`, packet).map(toText)]),
	]);
	return [...said.map(stripVTControlCharacters), ...sections.map((lines) => lines.join('\n'))]
		.map((section) => `${section}\n`)
		.join('\n');
}

const BPF_OBJECTS = ['prog', 'link', 'net', 'map'] as const;

/** What bpftool says of each kind of object; what a kernel cannot be asked for is its error instead. */
async function bpfState(vm: PoolVm): Promise<string> {
	const said = await Promise.all(
		BPF_OBJECTS.map(async (kind) => {
			const { stdout, stderr, code } = await vm.exec(['bpftool', '-j', kind, 'show'], {
				timeout: PATIENCE,
				reject: false,
			});
			return [kind, code === 0 && stdout ? JSON.parse(stdout) : { error: stdout || stderr }] as const;
		}),
	);
	return `${JSON.stringify(Object.fromEntries(said), null, '\t')}\n`;
}

/** What any of the traces did not see. */
function missedBy(traces: EvidenceSource['traces']): Pick<Trace, 'lostEvents' | 'untraced'> {
	return {
		lostEvents: Math.max(0, ...traces.map(({ lostEvents }) => lostEvents)),
		untraced: traces.flatMap(({ untraced }) => untraced),
	};
}
