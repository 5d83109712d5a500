/** What a traced stimulus gives: the way of each packet that the stimulus sent or got back. */
import { closest, distance } from 'fastest-levenshtein';
import { PathproofError } from '../../../kernels/errors.ts';
import { formatHop, formatStep, parseStep, stepMatches } from './path.ts';
import type { Hop, PacketPath, PacketTuple, UntracedProgram } from './types.ts';

/** The trace that packets and hops are of, however they were picked from it: what it missed, it missed of them as well. */
const TRACES = new WeakMap<PacketPath | Hop, Trace>();

export class Trace {
	/** in the order in which they were sent */
	readonly packets: readonly PacketPath[];
	/** the kernel functions and tracepoints that were watched: what is not among them cannot be said not to have been taken */
	readonly symbols: readonly string[];
	/** programs that ran unseen, e.g. because they were loaded without BTF */
	readonly untraced: readonly UntracedProgram[];

	/** what this kernel can give as the reason of a drop, none before 5.17; null where it was not asked */
	readonly reasons: readonly string[] | null;

	constructor(
		packets: readonly PacketPath[],
		symbols: readonly string[],
		untraced: readonly UntracedProgram[] = [],
		reasons: readonly string[] | null = null,
	) {
		this.packets = packets;
		this.symbols = symbols;
		this.untraced = untraced;
		this.reasons = reasons;
		for (const packet of packets) for (const part of [packet, ...packet.hops]) TRACES.set(part, this);
	}

	/** The one that a packet or a hop was taken from; undefined where it was made by hand. */
	static of(part: PacketPath | Hop): Trace | undefined {
		return TRACES.get(part);
	}

	/** events that were not seen: no claim holds where there are any */
	get lostEvents(): number {
		return this.packets.reduce((most, { lostEvents }) => Math.max(most, lostEvents), 0);
	}

	/** the packets from the container */
	get out(): PacketPath[] {
		return this.packets.filter((packet) => packet.direction === 'out');
	}

	/** the packets to the container */
	get in(): PacketPath[] {
		return this.packets.filter((packet) => packet.direction === 'in');
	}

	/** The first hop of that name, e.g. `host:eth0 xmit`. Throws where no packet took it. */
	at(name: string): Hop {
		const step = parseStep(name);
		for (const packet of this.packets) {
			const hop = packet.hops.find((taken) => stepMatches(step, taken));
			if (hop) return hop;
		}
		const taken = this.packets.flatMap((packet) => packet.hops.map((hop) => hop.hop));
		throw new PathproofError(`no packet of this trace was at \`${formatStep(step)}\``, {
			stage: 'usage',
			hint: taken.length
				? `\`${closest(step.hop, taken)}\` is the nearest. It took:\n${this}`
				: 'nothing was traced: does the stimulus match the filter?',
		});
	}

	toString(): string {
		return this.packets.map(formatPacket).join('\n');
	}

	/** The hops without the events that they were read from: a document of paths, not of bytes. */
	toJSON(): { packets: Omit<PacketPath, 'events'>[] } {
		return { packets: this.packets.map(({ events: _, ...packet }) => packet) };
	}
}

/** `out udp [2001:db8::2]:40000 → [2001:db8:1::1]:53: web:eth0 xmit, host:web ingress[…], …` */
export function formatPacket(packet: PacketPath): string {
	const lost = packet.lostEvents ? ` (${packet.lostEvents} events lost)` : '';
	return `${packet.direction} ${formatTuple(packet.packet)}${lost}: ${packet.hops.map(formatHop).join(', ')}${packet.delivered ? '' : ' (not delivered)'}`;
}

export function formatTuple({
	family,
	protocol,
	source,
	destination,
	sourcePort,
	destinationPort,
	detail,
}: PacketTuple): string {
	const end = (address: string, port: number | null) => {
		if (port === null) return address;
		return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
	};
	return `${protocol} ${end(source, sourcePort)} → ${end(destination, destinationPort)}${detail && ` ${detail}`}`;
}

/** The watched symbols that look like this one, nearest first. */
export function nearSymbols(symbols: readonly string[], wanted: string): string[] {
	return symbols
		.map((symbol) => ({ symbol, far: distance(symbol, wanted) }))
		.filter(({ far }) => far <= 4)
		.sort((a, b) => a.far - b.far)
		.map(({ symbol }) => symbol);
}
