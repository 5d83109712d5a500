/**
 * The tracer, in the guest: attached once when a lab is built, so that a fork of it traces at once; idle until `startTrace`.
 * One tracer for a guest.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DatapathError } from '../../../impl/errors.ts';
import { attachKprobe, attachRawTracepoint, attachTracing } from '../../../impl/libbpf/attach.ts';
import { type BpfMap, u32 } from '../../../impl/libbpf/map.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { RingBuffer } from '../../../impl/libbpf/ring.ts';
import { netnsNames } from '../../../impl/netns.ts';
import { bpfObjectPath } from '../../../impl/objects.ts';
import { type PacketEvent, type PathOptions, packetPaths } from '../hops.ts';
import type { PacketFilter, PacketPath } from '../types.ts';
import { dropNames } from './drops.ts';
import { decodeEvent, EVENT_SIZE } from './events.ts';
import { explained } from './explain.ts';
import { programRuns, tracePrograms, untracedPrograms } from './programs.ts';
import { HOOKS, type Hook } from './symbols.ts';

export interface TraceResult {
	packets: PacketPath[];
	/** events that the ring buffer could not take */
	lostEvents: number;
	/** the kernel functions and tracepoints that were watched */
	symbols: string[];
	/** programs that ran unseen, by name, with the reason */
	untraced: { name: string; why: string }[];
}

interface Tracer {
	/** what the programs that watch other programs share: settings, events, softirq */
	maps: BpfMap[];
	settings: BpfMap;
	ring: RingBuffer;
	records: Buffer[];
	symbols: string[];
	dropName: (reason: number, location: bigint) => string;
	draining: NodeJS.Timeout | null;
}

/** Events of no packet: they say which CPU serves a softirq. */
const CONTEXT = ['softirq_entry', 'softirq_exit'] as const;
/** struct settings { __u64 lost; __u16 port; __u8 enabled, family, protocol; } */
const SETTINGS_SIZE = 16;
const PROTOCOL_NUMBERS = { icmp: 1, tcp: 6, udp: 17 } as const;
/** How often a running trace empties the ring, which holds some 25,000 events. */
const DRAIN_MS = 20;
/** A packet that is still in a softirq when the stimulus has ended. */
const QUIET_MS = 15;
const QUIET_TRIES = 20;

let tracer: Tracer | undefined;

/** Attaches what is not attached yet: itself once, and to programs that came since. Answers what is watched. */
export function attachTracer(): { symbols: string[] } {
	tracer ??= load();
	tracePrograms(tracer.maps);
	return { symbols: tracer.symbols };
}

/** From here on, packets that match are followed. Throws a PathproofError where a trace is running. */
export function startTrace(filter: PacketFilter = {}): Promise<void> {
	return explained(() => start(filter));
}

function start(filter: PacketFilter): void {
	attachTracer();
	const { settings, ring, records, draining } = tracer!;
	if (draining)
		throw new DatapathError('a trace is running', { hint: 'stopTrace() first: there is one tracer for a guest' });
	ring.consume();
	records.length = 0;
	settings.update(u32(0), settingsOf(filter, true));
	tracer!.draining = setInterval(() => ring.consume(), DRAIN_MS);
}

/** Waits until the last packet has come to rest, and answers the way of each. */
export async function stopTrace(options: PathOptions = {}): Promise<TraceResult> {
	const { events, lostEvents } = await explained(stopEvents);
	return {
		packets: packetPaths(events, lostEvents, options),
		lostEvents,
		symbols: tracer!.symbols,
		untraced: untracedPrograms().map(({ program, why }) => ({ name: program.name, why })),
	};
}

/** The same as single events, from which unit tests are made. */
export async function stopEvents(): Promise<{ events: PacketEvent[]; lostEvents: number }> {
	if (!tracer?.draining) throw new DatapathError('no trace is running', { hint: 'startTrace({ protocol: "udp" })' });
	const { settings, ring, records } = tracer;
	for (let tries = 0, before = -1; tries < QUIET_TRIES && records.length !== before; tries++) {
		before = records.length;
		await sleep(QUIET_MS);
		ring.consume();
	}
	clearInterval(tracer.draining);
	tracer.draining = null;
	const lostEvents = Number(settings.lookup(u32(0))!.readBigUInt64LE(0));
	settings.update(u32(0), settingsOf({}, false));
	ring.consume();
	return { events: decodeAll(records), lostEvents };
}

function decodeAll(records: readonly Buffer[]): PacketEvent[] {
	const names = { netns: netnsNames(), dropReason: tracer!.dropName, program: programRuns() };
	return records.map((record) => decodeEvent(record, names));
}

function settingsOf({ protocol, family, port }: PacketFilter, enabled: boolean): Buffer {
	const bytes = Buffer.alloc(SETTINGS_SIZE);
	bytes.writeUInt16LE(port ?? 0, 8);
	bytes.writeUInt8(enabled ? 1 : 0, 10);
	bytes.writeUInt8(family ?? 0, 11);
	bytes.writeUInt8(protocol ? PROTOCOL_NUMBERS[protocol] : 0, 12);
	return bytes;
}

function load(): Tracer {
	const { object, byKprobe } = loadObject();
	const settings = object.map('settings', 4, SETTINGS_SIZE);
	const events = object.map('events');
	for (const tracepoint of CONTEXT) attachRawTracepoint(object.programFd(`on_${tracepoint}`), tracepoint);
	const symbols = HOOKS.filter((hook) => attachHook(object, hook, byKprobe)).map(({ symbol }) => symbol);
	const records: Buffer[] = [];
	const ring = new RingBuffer(events, (record) => {
		if (record.length === EVENT_SIZE) records.push(record);
	});
	const maps = [settings, events, object.map('softirq')];
	return { maps, settings, ring, records, symbols, dropName: dropNames(), draining: null };
}

/** fentry needs a function in BTF *and* ftrace; that it loads is the proof of both. What does not is tried by kprobe. */
function loadObject(): { object: BpfObject; byKprobe: Set<string> } {
	const functions = HOOKS.filter(({ way }) => way === 'function').map(({ symbol }) => symbol);
	const byKprobe = new Set<string>();
	for (;;) {
		const object = BpfObject.open(bpfObjectPath('trace'));
		try {
			return { object: object.loadOnly(programNames(functions, byKprobe)).load(), byKprobe };
		} catch (error) {
			object[Symbol.dispose]();
			const refused = refusedFunction(error, functions);
			if (!refused || byKprobe.has(refused)) throw error;
			byKprobe.add(refused);
		}
	}
}

function programNames(functions: readonly string[], byKprobe: ReadonlySet<string>): string[] {
	const tracepoints = HOOKS.filter(({ way }) => way === 'raw_tp').map(({ symbol }) => symbol);
	return [
		...[...CONTEXT, ...tracepoints].map((name) => `on_${name}`),
		...functions.map((name) => (byKprobe.has(name) ? `kprobe_${name}` : `fentry_${name}`)),
	];
}

/** libbpf names the program that the kernel refused; the load ends there. */
function refusedFunction(error: unknown, functions: readonly string[]): string | undefined {
	const log = error instanceof DatapathError ? (error.log ?? '') : '';
	const name = /prog 'fentry_(\w+)': failed to (?:load|find|prepare)/.exec(log)?.[1];
	return functions.find((one) => one === name);
}

/** Answers whether the hook is watched: a function that a kernel does not have is not. */
function attachHook(object: BpfObject, { symbol, way }: Hook, byKprobe: ReadonlySet<string>): boolean {
	if (way === 'fexit') return true; // for each program: programs.ts
	if (way === 'raw_tp') attachRawTracepoint(object.programFd(`on_${symbol}`), symbol);
	else if (!byKprobe.has(symbol)) attachTracing(object.programFd(`fentry_${symbol}`), symbol);
	else return tryKprobe(object, symbol);
	return true;
}

function tryKprobe(object: BpfObject, symbol: string): boolean {
	try {
		attachKprobe(object.program(`kprobe_${symbol}`), symbol);
		return true;
	} catch (error) {
		if (error instanceof DatapathError) return false;
		throw error;
	}
}
