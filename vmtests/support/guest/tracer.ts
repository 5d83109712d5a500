/**
 * The tracer, in the guest: attached once when a lab is built, so that a fork of it traces at once; idle until `startTrace`.
 * One tracer for a guest. What it saw is made sense of outside, by trace/events.ts and trace/hops.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DatapathError } from '../../../impl/errors.ts';
import { attachKprobe, attachRawTracepoint, attachTracing } from '../../../impl/libbpf/attach.ts';
import { missedRuns } from '../../../impl/libbpf/enumerate.ts';
import { type BpfMap, u32 } from '../../../impl/libbpf/map.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { RingBuffer } from '../../../impl/libbpf/ring.ts';
import { netnsNames } from '../../../impl/netns.ts';
import { bpfObjectPath } from '../../../impl/objects.ts';
import { type EventNames, OFFSET, placeKey, placeOf, recordsOf } from '../trace/events.ts';
import { HOOKS, type Hook } from '../trace/hooks.ts';
import type { PacketFilter, UntracedProgram } from '../trace/types.ts';
import { type DropNames, dropNames } from './drops.ts';
import { explained } from './explain.ts';
import { programRuns, tracePrograms, untracedPrograms, watchingPrograms } from './programs.ts';

export interface RawTrace {
	/** as trace/events.ts reads them */
	records: Uint8Array;
	names: EventNames;
	/** events that the ring buffer could not take, or that a hook missed because it, or another on its CPU, was running already */
	lostEvents: number;
	/** the kernel functions and tracepoints that were watched */
	symbols: string[];
	/** programs that ran unseen */
	untraced: UntracedProgram[];
	/** all that this kernel can give for a drop */
	reasons: string[];
}

interface Tracer {
	/** what the programs that watch other programs share: settings, events, softirq */
	maps: BpfMap[];
	settings: BpfMap;
	ring: RingBuffer;
	/** as they came out of the ring */
	chunks: Buffer[];
	/** what is loaded: the kernel counts what it missed */
	programs: { symbol: string; fd: number }[];
	symbols: string[];
	/** null until it is attached to programs: by then the modules are here whose functions may drop */
	drops: DropNames | null;
	/** null where no trace is running */
	running: { draining: NodeJS.Timeout; missedBefore: number } | null;
}

export interface TracerOptions {
	/** of the ring buffer; only the first call can say */
	ringBytes?: number;
}

/** Events of no packet: they say which CPU serves a softirq. */
const CONTEXT = ['softirq_entry', 'softirq_exit'] as const;
/** struct settings { __u64 lost; __u16 port; __u8 enabled, family, protocol; } */
const SETTINGS_SIZE = 16;
const PROTOCOL_NUMBERS = { icmp: 1, tcp: 6, udp: 17 } as const;
/** Room for some 130,000 events. */
const RING_BYTES = 32 * 2 ** 20;
/** How often a running trace empties the ring. */
const DRAIN_MS = 20;
/** A packet that is still in a softirq when the stimulus has ended. */
const QUIET_MS = 15;
const QUIET_TRIES = 20;

let tracer: Tracer | undefined;

/** Attaches itself to the kernel, once. */
export function loadTracer({ ringBytes = RING_BYTES }: TracerOptions = {}): void {
	tracer ??= load(ringBytes);
}

/** Attaches what is not attached yet: itself, and to programs that came since. Answers what is watched. */
export function attachTracer(options: TracerOptions = {}): { symbols: string[] } {
	loadTracer(options);
	const { maps, symbols } = tracer!;
	tracePrograms(maps);
	tracer!.drops ??= dropNames();
	return { symbols };
}

/** From here on, packets that match are followed. Throws a PathproofError where a trace is running. */
export function startTrace(filter: PacketFilter = {}): Promise<void> {
	return explained(() => start(filter));
}

function start(filter: PacketFilter): void {
	attachTracer();
	const { settings, ring, chunks, running } = tracer!;
	if (running)
		throw new DatapathError('a trace is running', { hint: 'stopTrace() first: there is one tracer for a guest' });
	ring.consume();
	chunks.length = 0;
	settings.update(u32(0), settingsOf(filter, true));
	tracer!.running = { draining: setInterval(() => ring.consume(), DRAIN_MS), missedBefore: missed() };
}

/** What was seen since the trace started, or since the last call; the trace goes on. */
export function readTrace(): Promise<RawTrace> {
	return explained(() => {
		const running = theRunning();
		tracer!.ring.consume();
		return taken(running.missedBefore);
	});
}

/** Waits until the last packet has come to rest, and answers what was seen. */
export function stopTrace(): Promise<RawTrace> {
	return explained(stop);
}

async function stop(): Promise<RawTrace> {
	const { draining, missedBefore } = theRunning();
	const { settings, ring, chunks } = tracer!;
	for (let tries = 0, before = -1; tries < QUIET_TRIES && chunks.length !== before; tries++) {
		before = chunks.length;
		await sleep(QUIET_MS);
		ring.consume();
	}
	clearInterval(draining);
	tracer!.running = null;
	const seen = taken(missedBefore);
	settings.update(u32(0), settingsOf({}, false));
	return seen;
}

function theRunning(): NonNullable<Tracer['running']> {
	if (tracer?.running) return tracer.running;
	throw new DatapathError('no trace is running', { hint: 'startTrace({ protocol: "udp" })' });
}

function taken(missedBefore: number): RawTrace {
	const { settings, chunks, symbols } = tracer!;
	const records = Buffer.concat(chunks.splice(0));
	const unwritten = Number(settings.lookup(u32(0))!.readBigUInt64LE(0));
	return {
		records,
		names: namesOf(records),
		lostEvents: unwritten + missed() - missedBefore,
		symbols,
		untraced: untracedPrograms(),
		reasons: [...tracer!.drops!.reasons.values()],
	};
}

function missed(): number {
	const programs = [...tracer!.programs.map(({ fd }) => fd), ...watchingPrograms()];
	return programs.reduce((sum, program) => sum + missedRuns(program), 0);
}

/** What the numbers in these records mean: asked now, while the programs are where they were. */
function namesOf(records: Buffer): EventNames {
	const drops = tracer!.drops!;
	const netns = netnsNames();
	const run = programRuns();
	const reasons = new Map<number, string>();
	const functions = new Map<bigint, string>();
	const programs = new Map<string, EventNames['programs'][number]>();
	for (const record of recordsOf(records)) {
		const { kind } = HOOKS[record[OFFSET.hook]!]!;
		if (kind === 'drop') {
			const reason = record.readUInt32LE(OFFSET.reason);
			const location = record.readBigUInt64LE(OFFSET.location);
			const name = drops.reasons.get(reason);
			if (name) reasons.set(reason, name);
			if (drops.functionAt && !functions.has(location)) functions.set(location, drops.functionAt(location));
		} else if (kind === 'program') {
			const place = placeOf(record);
			const key = placeKey(place);
			if (!programs.has(key)) programs.set(key, { ...place, ...run(place, netns.get(place.netns)) });
		}
	}
	return {
		netns: [...netns],
		reasons: [...reasons],
		functions: [...functions],
		programs: [...programs.values()],
	};
}

function settingsOf({ protocol, family, port }: PacketFilter, enabled: boolean): Buffer {
	const bytes = Buffer.alloc(SETTINGS_SIZE);
	bytes.writeUInt16LE(port ?? 0, 8);
	bytes.writeUInt8(enabled ? 1 : 0, 10);
	bytes.writeUInt8(family ?? 0, 11);
	bytes.writeUInt8(protocol ? PROTOCOL_NUMBERS[protocol] : 0, 12);
	return bytes;
}

function load(ringBytes: number): Tracer {
	const { object, byKprobe } = loadObject(ringBytes);
	const settings = object.map('settings', 4, SETTINGS_SIZE);
	const events = object.map('events');
	for (const tracepoint of CONTEXT) attachRawTracepoint(object.programFd(`on_${tracepoint}`), tracepoint);
	const watched = HOOKS.filter((hook) => attachHook(object, hook, byKprobe));
	const chunks: Buffer[] = [];
	const ring = new RingBuffer(events, ringBytes, (records) => chunks.push(Buffer.from(records)));
	return {
		maps: [settings, events, object.map('softirq')],
		settings,
		ring,
		chunks,
		// what one of twins misses the other sees; a kprobe has none
		programs: watched
			.filter(({ way, twice, symbol }) => way !== 'fexit' && !(twice && !byKprobe.has(symbol)))
			.map(({ symbol, way }) => ({ symbol, fd: object.programFd(programName(symbol, way, byKprobe)) })),
		symbols: watched.map(({ symbol }) => symbol),
		drops: null,
		running: null,
	};
}

/** fentry needs a function in BTF *and* ftrace; that it loads is the proof of both. What does not is tried by kprobe. */
function loadObject(ringBytes: number): { object: BpfObject; byKprobe: Set<string> } {
	const functions = HOOKS.filter(({ way }) => way === 'function').map(({ symbol }) => symbol);
	const byKprobe = new Set<string>();
	for (;;) {
		const object = BpfObject.open(bpfObjectPath('trace')).resizeMap('events', ringBytes);
		try {
			return { object: object.loadOnly(programNames(byKprobe)).load(), byKprobe };
		} catch (error) {
			object[Symbol.dispose]();
			const refused = refusedFunction(error, functions);
			if (!refused || byKprobe.has(refused)) throw error;
			byKprobe.add(refused);
		}
	}
}

function programNames(byKprobe: ReadonlySet<string>): string[] {
	const hooks = HOOKS.filter(({ way }) => way !== 'fexit');
	return [
		...CONTEXT.map((name) => `on_${name}`),
		...hooks.map(({ symbol, way }) => programName(symbol, way, byKprobe)),
		...hooks.flatMap((hook) => twinName(hook, byKprobe) ?? []),
	];
}

function programName(symbol: string, way: Hook['way'], byKprobe: ReadonlySet<string>): string {
	if (way === 'raw_tp') return `on_${symbol}`;
	return byKprobe.has(symbol) ? `kprobe_${symbol}` : `fentry_${symbol}`;
}

function twinName({ symbol, twice }: Hook, byKprobe: ReadonlySet<string>): string | null {
	return twice && !byKprobe.has(symbol) ? `twin_${symbol}` : null;
}

/** libbpf names the program that the kernel refused; the load ends there. */
function refusedFunction(error: unknown, functions: readonly string[]): string | undefined {
	const log = error instanceof DatapathError ? (error.log ?? '') : '';
	const name = /prog 'fentry_(\w+)': failed to (?:load|find|prepare)/.exec(log)?.[1];
	return functions.find((one) => one === name);
}

/** Answers whether the hook is watched: a function or a tracepoint that a kernel does not have is not. */
function attachHook(object: BpfObject, hook: Hook, byKprobe: ReadonlySet<string>): boolean {
	const { symbol, way } = hook;
	if (way === 'fexit') return true; // for each program: programs.ts
	const name = programName(symbol, way, byKprobe);
	const twin = twinName(hook, byKprobe);
	const names = twin ? [name, twin] : [name];
	if (way === 'raw_tp') return tryTo(() => names.map((one) => attachRawTracepoint(object.programFd(one), symbol)));
	if (byKprobe.has(symbol)) return tryTo(() => attachKprobe(object.program(name), symbol));
	for (const one of names) attachTracing(object.programFd(one), symbol);
	return true;
}

function tryTo(attach: () => unknown): boolean {
	try {
		attach();
		return true;
	} catch (error) {
		if (error instanceof DatapathError) return false;
		throw error;
	}
}
