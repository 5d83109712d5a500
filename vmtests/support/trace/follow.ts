/** Packets as they finish, out of a trace that goes on. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Remote } from '../../../kernels/vm.ts';
import type { RawTrace } from '../guest/tracer.ts';
import { decodeEvents } from './events.ts';
import { packetPaths } from './hops.ts';
import type { PacketEvent, PacketFilter, PacketPath } from './types.ts';

/** The tracer of a guest, or of this host. */
export type Tracer = Pick<Remote<typeof import('../guest/tracer.ts')>, 'startTrace' | 'readTrace' | 'stopTrace'>;

const LOOK_MS = 200;
/** Looks without news of it: of a packet that has come to an end, for its afterthoughts; of one that may wait somewhere. */
const QUIET_LOOKS = { ended: 1, open: 5 } as const;
/** Beyond so many, those of packets that were told of are forgotten. `datagram 3` and `seq 1` are then counted anew. */
const MOST_EVENTS = 20_000;

/** Puts together what comes in pieces, and tells of each packet once. */
export class Follower {
	#mostEvents: number;
	#events: PacketEvent[] = [];
	#told = new Set<PacketEvent>();
	/** by a packet's first event */
	#quiet = new Map<PacketEvent, { events: number; looks: number }>();

	constructor(mostEvents: number = MOST_EVENTS) {
		this.#mostEvents = mostEvents;
	}

	/** Answers the packets that have finished, in the order in which they were first seen. */
	look(events: readonly PacketEvent[], lostEvents: number): PacketPath[] {
		this.#events.push(...events);
		return this.#tell(lostEvents, (packet) => this.#hasFinished(packet));
	}

	/** At the end of the trace: those that were not told of yet. */
	rest(lostEvents: number): PacketPath[] {
		return this.#tell(lostEvents, () => true);
	}

	#tell(lostEvents: number, finished: (packet: PacketPath) => boolean): PacketPath[] {
		const untold = packetPaths(this.#events, lostEvents).filter(
			(packet) => !packet.events.some((event) => this.#told.has(event)),
		);
		const packets = untold.filter(finished);
		for (const event of packets.flatMap((packet) => packet.events)) this.#told.add(event);
		if (this.#events.length > this.#mostEvents) this.#forget();
		return packets;
	}

	#hasFinished({ events, fate }: PacketPath): boolean {
		const before = this.#quiet.get(events[0]!);
		const looks = before?.events === events.length ? before.looks + 1 : 0;
		this.#quiet.set(events[0]!, { events: events.length, looks });
		return looks >= QUIET_LOOKS[fate === 'queued' || fate === 'unexplained' ? 'open' : 'ended'];
	}

	#forget(): void {
		this.#events = this.#events.filter((event) => !this.#told.has(event));
		this.#told.clear();
		const kept = new Set(this.#events);
		for (const first of this.#quiet.keys()) if (!kept.has(first)) this.#quiet.delete(first);
	}
}

/** Traces while `act` runs, and hands on packets as they finish. */
export async function follow(
	tracer: Tracer,
	filter: PacketFilter,
	act: () => Promise<unknown>,
	tell: (packets: readonly PacketPath[]) => void,
): Promise<Pick<RawTrace, 'untraced'>> {
	const follower = new Follower();
	const look = (raw: RawTrace) => tell(follower.look(eventsOf(raw), raw.lostEvents));
	await tracer.startTrace(filter);
	let acting = true;
	const acted = act().finally(() => {
		acting = false;
	});
	let last: RawTrace;
	try {
		while (acting) {
			await Promise.race([acted, sleep(LOOK_MS)]);
			if (acting) look(await tracer.readTrace());
		}
		await acted;
	} finally {
		last = await tracer.stopTrace();
		look(last);
		tell(follower.rest(last.lostEvents));
	}
	return last;
}

export function eventsOf({ records, names }: RawTrace): PacketEvent[] {
	return decodeEvents(Buffer.from(records), names);
}
