/**
 * The forward proxy, beside a container: what the kernel turned to it goes on over TLS, as if it had gone straight to where it was
 * sent. TCP connections it accepts; datagrams it is given, since their original destination comes with each (UdpFlows).
 *
 *     program ── TCP, UDP ──▶ forward proxy ══ HTTP/2 over TLS 1.3 ══▶ terminating proxy ── TCP, UDP ──▶ destination
 */
import { createServer, type Server, type Socket } from 'node:net';
import { type Endpoint, formatEndpoint } from './endpoints.ts';
import { type Refusal, refusalOf } from './refusals.ts';
import { type SessionOptions, Sessions } from './sessions.ts';
import { splice } from './splice.ts';
import { type UdpAnswers, UdpFlows, type UdpLimits } from './udpflows.ts';

export interface ForwardOptions extends SessionOptions {
	/** where the program of an accepted connection meant to go. What it throws resets the connection. */
	originalDestination(socket: Socket): Endpoint | Promise<Endpoint>;
	/** what comes back for datagrams */
	udp: UdpAnswers & UdpLimits;
	/** A connection that was reset because it could not be carried on. Its program has been told by RST: accept had answered for the peer. */
	refused(source: Endpoint, refusal: Refusal): void;
	/** A connection without a byte either way for so long is reset; 0 is never. RFC 5382's 2 h 4 min. */
	tcpIdleMs?: number;
}

const TCP_IDLE_MS = 7_440_000;

export class ForwardProxy {
	/** takes connections; the caller listens with it, wherever the kernel turns them to */
	readonly server: Server;
	readonly udp: UdpFlows;
	readonly sessions: Sessions;
	readonly #options: ForwardOptions;
	readonly #sockets = new Set<Socket>();

	constructor(options: ForwardOptions) {
		this.#options = options;
		this.sessions = new Sessions(options);
		this.udp = new UdpFlows(this.sessions, options.udp);
		// Nothing is read before there is somewhere for it to go.
		this.server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
	}

	/** As `Sessions.reload`: new flows use the certificates that are in the files now. Throws a DatapathError, and keeps the old, where those are not good. */
	reload(): void {
		this.sessions.reload();
	}

	/** All flows are reset. */
	close(): void {
		this.server.close();
		this.udp.close();
		this.sessions.close();
		for (const socket of this.#sockets) socket.resetAndDestroy();
	}

	async #accept(socket: Socket): Promise<void> {
		const source = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
		this.#sockets.add(socket);
		socket.once('close', () => this.#sockets.delete(socket));
		socket.on('error', () => undefined); // 'close' follows
		try {
			const destination = await this.#options.originalDestination(socket);
			const authority = formatEndpoint(destination);
			const stream = await this.sessions.request({ ':method': 'CONNECT', ':authority': authority });
			splice(socket, stream, this.#options.tcpIdleMs ?? TCP_IDLE_MS);
		} catch (error) {
			socket.resetAndDestroy();
			this.#options.refused(source, refusalOf(error));
		}
	}
}
