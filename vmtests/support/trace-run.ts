/** The run of `pathproof trace`: where it looks, what happens there, and what is said of it. */
import { writeFileSync } from 'node:fs';
import { execa } from 'execa';
import { namedNetns } from '../../impl/netns.ts';
import { PathproofError } from '../../kernels/errors.ts';
import { usualForward } from './lab-words.ts';
import { type LiveDocument, liveDocument, type TraceDocument } from './schema/trace.ts';
import { chooseKernel, Session } from './session.ts';
import { STIMULI } from './stimuli.ts';
import { type Line, span, toTerminal } from './tour/line.ts';
import { filterTakes, parseFilter } from './trace/filter.ts';
import { eventsOf, follow, type Tracer } from './trace/follow.ts';
import { packetPaths } from './trace/hops.ts';
import { openLive } from './trace/live.ts';
import { type CaptureMeta, pcapng } from './trace/pcapng.ts';
import type { PacketFilter, PacketPath, UntracedProgram } from './trace/types.ts';
import { isMissing } from './trace/why.ts';
import type { TraceOptions } from './trace-command.ts';
import { type Details, toPacketDocument, toTraceDocument } from './trace-document.ts';
import { countDropped, showPacket } from './trace-show.ts';

/** Where packets are traced: in a lab, or on this host. */
interface Scene extends AsyncDisposable {
	/** said before all packets */
	heading: Line[];
	/** said before each: `veth redirect` */
	title: string;
	capture: CaptureMeta;
	/** makes things happen, and answers all packets that match meanwhile */
	trace(filter: PacketFilter): Promise<Seen>;
	/** the same, packet by packet */
	follow(filter: PacketFilter, tell: (packets: readonly PacketPath[]) => void): Promise<Pick<Seen, 'untraced'>>;
	document(seen: Seen, details: Details): TraceDocument | LiveDocument;
}

interface Seen {
	packets: readonly PacketPath[];
	lostEvents: number;
	untraced: readonly UntracedProgram[];
}

const STDOUT = '-';
const LAB_NETNS = ['web', 'host', 'peer'] as const;

export async function runTrace(command: readonly string[], options: TraceOptions): Promise<void> {
	const { container, pcap, json, whyDropped, raw } = options;
	const filter = parseFilter(options.filter ?? '');
	const netns = options.live ? ['host', ...namedNetns()] : LAB_NETNS;
	if (container !== undefined && !netns.some((name) => name === container)) throw noContainer(container, netns);
	await using scene = await (options.live ? openHost(command, options) : openLab(command, options));
	const details = { raw, why: whyDropped };
	const concerns = ({ packet, events }: PacketPath) =>
		filterTakes(filter, packet) && (container === undefined || events.some(({ netns }) => netns === container));
	const select = (packets: readonly PacketPath[]) => packets.filter((packet) => !whyDropped || isMissing(packet));
	const show = (packets: readonly PacketPath[]) =>
		print(select(packets).flatMap((packet) => showPacket(scene.title, packet, details)));

	if (options.follow) {
		print(scene.heading);
		return tellUntraced(await scene.follow(filter, (packets) => show(packets.filter(concerns))));
	}
	const seen = await scene.trace(filter);
	tellUntraced(seen);
	if (seen.lostEvents) console.error(`${seen.lostEvents} events were lost: packets and hops may be missing`);
	const packets = seen.packets.filter(concerns);
	const selected = select(packets);
	if (pcap !== undefined) writeCapture(pcap, pcapng(selected, scene.capture));
	if (json) return console.log(JSON.stringify(scene.document({ ...seen, packets: selected }, details)));
	if (pcap === STDOUT) return;
	print(scene.heading);
	show(packets);
	if (whyDropped) print([[], countDropped(packets, seen.lostEvents)]);
}

/** A program that ran unseen may have done what no path shows. */
function tellUntraced({ untraced }: Pick<Seen, 'untraced'>): void {
	for (const { name, why } of untraced) console.error(`the program ${name} is not watched: ${why}`);
}

async function openLab(command: readonly string[], options: TraceOptions): Promise<Scene> {
	const { device, stimulus, container = 'web' } = options;
	const forward = options.forward ?? (device ? usualForward(device) : 'redirect');
	const kernel = await chooseKernel(options.kernel);
	const session = await Session.open();
	try {
		const lab = await session.lab(kernel, { device, forward });
		const title = `${lab.state.options.device} ${lab.state.options.forward}`;
		const run = async () => {
			await using program = await lab[container as (typeof LAB_NETNS)[number]].spawn(command);
			program.onOutput((bytes) => void process.stderr.write(bytes));
			const { code, signal } = await program.ended;
			tellEnd(command, code ?? signal);
		};
		const what = command.length ? command.join(' ') : stimulus;
		return {
			heading: [[span(`linux ${lab.vm.kernel.id} (${lab.vm.accel}), ${title}, ${what}:`)]],
			title,
			capture: { hardware: `qemu, ${lab.vm.accel}`, os: `linux ${lab.vm.kernel.id}` },
			trace: (filter) => (command.length ? lab.trace(filter, run) : STIMULI[stimulus]!.send(lab)),
			follow: (filter, tell) => follow(lab.vm.use<typeof import('./guest/tracer.ts')>(GUEST_TRACER), filter, run, tell),
			document: (seen, details) => toTraceDocument(lab, seen, details),
			[Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
		};
	} catch (error) {
		await session[Symbol.asyncDispose]();
		throw error;
	}
}

const GUEST_TRACER = 'vmtests/support/guest/tracer.ts';

/** This host. Its packets end at Ctrl-C, where there is no command whose end is theirs. */
async function openHost(command: readonly string[], { container }: TraceOptions): Promise<Scene> {
	const live = await openLive();
	const { kernel, tracer, watched, unwatched } = live;
	const run = command.length ? () => runHere(command, container) : untilInterrupted;
	return {
		heading: [
			[span(`linux ${kernel}, this host, ${command.length ? command.join(' ') : 'until Ctrl-C'}:`)],
			...lacks(live),
		],
		title: 'this host',
		capture: { hardware: process.arch, os: `linux ${kernel}` },
		trace: (filter) => traceHere(tracer, filter, run),
		follow: (filter, tell) => follow(tracer, filter, run, tell),
		document: ({ packets, lostEvents, untraced }, details) =>
			liveDocument.parse({
				schema: 1,
				kernel,
				watched,
				unwatched,
				lostEvents,
				untraced,
				packets: packets.map((packet) => toPacketDocument(packet, details)),
			}),
		[Symbol.asyncDispose]: () => live[Symbol.asyncDispose](),
	};
}

/** What is not watched is no hop, and a packet that nobody saw arrive is not one that was lost. */
function lacks({ watched, unwatched }: Pick<LiveDocument, 'watched' | 'unwatched'>): Line[] {
	const all = watched.length + unwatched.length;
	if (!unwatched.length) return [];
	return [[span(`this kernel lets ${watched.length} of ${all} places be watched: ${watched.join(', ')}`, 'bad')]];
}

async function traceHere(tracer: Tracer, filter: PacketFilter, run: () => Promise<void>): Promise<Seen> {
	await tracer.startTrace(filter);
	try {
		await run();
	} catch (error) {
		await tracer.stopTrace();
		throw error;
	}
	const raw = await tracer.stopTrace();
	return { packets: packetPaths(eventsOf(raw), raw.lostEvents), lostEvents: raw.lostEvents, untraced: raw.untraced };
}

async function runHere(command: readonly string[], container: string | undefined): Promise<void> {
	const within = container === undefined || container === 'host' ? [] : ['ip', 'netns', 'exec', container];
	const [program, ...args] = [...within, ...command];
	// stdout is the trace's
	const running = execa(program!, args, { stdio: ['ignore', 2, 2], reject: false });
	// A Ctrl-C ends the command, and with it the trace, which then says what it saw.
	const interrupt = () => void running.kill('SIGINT');
	process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
	const { exitCode, signal, code } = await running;
	process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
	if (code === 'ENOENT')
		throw new PathproofError(`there is no program ${program} on this host`, {
			stage: 'usage',
			hint: `which ${program}`,
		});
	tellEnd(command, exitCode ?? signal);
}

/** Says it where it did not go well: that is no failure of the trace. */
function tellEnd(command: readonly string[], status: number | string | null | undefined): void {
	if (status !== 0) console.error(`${command[0]} ended with ${status}`);
}

async function untilInterrupted(): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	process.once('SIGINT', () => resolve()).once('SIGTERM', () => resolve());
	await promise;
}

function writeCapture(path: string, capture: Uint8Array): void {
	// a file descriptor stands for stdout: its end is waited for, also where it is a pipe
	writeFileSync(path === STDOUT ? process.stdout.fd : path, capture);
}

function noContainer(name: string, netns: readonly string[]): PathproofError {
	return new PathproofError(`there is no container ${name}`, {
		stage: 'usage',
		hint: `use one of ${netns.join(', ')}`,
	});
}

function print(lines: readonly Line[]): void {
	for (const line of lines) console.log(toTerminal(line));
}
