/**
 * The datagrams of a container. One socket may send to many destinations, so a flow is a source and a destination, and each is a
 * CONNECT-UDP request of its own: its answers come back on its own stream, and can be of no other destination.
 */
import type { ClientHttp2Stream } from 'node:http2';
import { datagramsOf, writeDatagram } from './datagrams.ts';
import { type Endpoint, formatEndpoint, udpPath } from './endpoints.ts';
import { type Refusal, readRefusal, refusalOf } from './refusals.ts';
import type { Sessions } from './sessions.ts';

export interface UdpAnswers {
	/** a datagram for `source`, the program's socket, from `destination`, which it had sent to */
	answer(source: Endpoint, destination: Endpoint, payload: Buffer): void;
	/** `source` cannot reach `destination`: what ICMP would have told it, by `refusal.code`. Its next datagram is tried again. */
	unreachable(source: Endpoint, destination: Endpoint, refusal: Refusal): void;
}

export interface UdpLimits {
	/** beyond them the flow that has been quiet for longest is given up; 10,000 */
	maxFlows?: number;
	/** quiet for so long, a flow is given up; 2 min, below which RFC 4787 does not let a NAT go */
	idleMs?: number;
}

interface Flow {
	source: Endpoint;
	destination: Endpoint;
	/** null until the terminator has granted it */
	stream: ClientHttp2Stream | null;
	/** what waits for that */
	early: Buffer[];
	earlyBytes: number;
	lastUsed: number;
}

/** As much as a UDP socket holds that is not read (net.core.rmem_default). */
const EARLY_BYTES = 212_992;

export class UdpFlows {
	readonly #sessions: Sessions;
	readonly #options: Required<UdpAnswers & UdpLimits>;
	/** by source and destination; the one quiet for longest is first */
	readonly #flows = new Map<string, Flow>();
	readonly #sweeper: NodeJS.Timeout;
	/** datagrams that had no room, as in a socket whose reader is slow */
	dropped = 0;

	constructor(
		sessions: Sessions,
		{ maxFlows = 10_000, idleMs = 120_000, answer, unreachable }: UdpAnswers & UdpLimits,
	) {
		this.#sessions = sessions;
		this.#options = { maxFlows, idleMs, answer, unreachable };
		this.#sweeper = setInterval(() => this.#sweep(), idleMs / 4).unref();
	}

	get size(): number {
		return this.#flows.size;
	}

	/** Takes one datagram, of any size that UDP has, none included. Those of a flow keep their order. */
	send(source: Endpoint, destination: Endpoint, payload: Buffer): void {
		const key = `${formatEndpoint(source)} ${formatEndpoint(destination)}`;
		const flow = this.#flows.get(key) ?? this.#begin(key, source, destination);
		this.#touch(key, flow);
		if (flow.stream) {
			if (!writeDatagram(flow.stream, payload)) this.dropped++;
		} else if (flow.earlyBytes + payload.length > EARLY_BYTES) {
			this.dropped++;
		} else {
			flow.early.push(payload);
			flow.earlyBytes += payload.length;
		}
	}

	close(): void {
		clearInterval(this.#sweeper);
		for (const key of [...this.#flows.keys()]) this.#forget(key);
	}

	#begin(key: string, source: Endpoint, destination: Endpoint): Flow {
		while (this.#flows.size >= this.#options.maxFlows) this.#forget(this.#flows.keys().next().value!);
		const flow: Flow = { source, destination, stream: null, early: [], earlyBytes: 0, lastUsed: 0 };
		void this.#open(key, flow);
		return flow;
	}

	/** Never throws: what fails is told as unreachable. */
	async #open(key: string, flow: Flow): Promise<void> {
		try {
			const stream = await this.#sessions.request({
				':method': 'CONNECT',
				':protocol': 'connect-udp',
				':scheme': 'https',
				':authority': this.#sessions.authority,
				':path': udpPath(flow.destination),
				'capsule-protocol': '?1',
			});
			if (this.#flows.get(key) !== flow) return void stream.end(); // given up meanwhile
			this.#carry(key, flow, stream);
		} catch (error) {
			this.#fail(key, flow, refusalOf(error));
		}
	}

	#carry(key: string, flow: Flow, stream: ClientHttp2Stream): void {
		flow.stream = stream;
		datagramsOf(stream, (payload) => {
			if (this.#flows.get(key) !== flow) return; // given up
			this.#touch(key, flow);
			this.#options.answer(flow.source, flow.destination, payload);
		});
		// RFC 9298, 3.1: the terminator ends the stream when its socket met an error. Ours says which, behind its last datagram.
		stream.once('trailers', (trailers) => {
			if (trailers['proxy-status']) this.#fail(key, flow, readRefusal(trailers));
		});
		const end = () => this.#flows.get(key) === flow && this.#forget(key);
		stream.once('end', end);
		stream.once('close', end);
		for (const payload of flow.early.splice(0)) if (!writeDatagram(stream, payload)) this.dropped++;
	}

	#fail(key: string, flow: Flow, refusal: Refusal): void {
		if (this.#flows.get(key) !== flow) return;
		this.#forget(key);
		this.#options.unreachable(flow.source, flow.destination, refusal);
	}

	/** As the last one of the map. */
	#touch(key: string, flow: Flow): void {
		this.#flows.delete(key);
		this.#flows.set(key, flow);
		flow.lastUsed = Date.now();
	}

	#sweep(): void {
		const oldest = Date.now() - this.#options.idleMs;
		for (const [key, { lastUsed }] of this.#flows) {
			if (lastUsed > oldest) return;
			this.#forget(key);
		}
	}

	#forget(key: string): void {
		this.#flows.get(key)?.stream?.end();
		this.#flows.delete(key);
	}
}
