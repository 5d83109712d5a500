/** The sessions of a forward proxy with its terminating proxy: as many as its flows need, opened again when they are lost. */
import type {
	ClientHttp2Session,
	ClientHttp2Stream,
	IncomingHttpHeaders,
	IncomingHttpStatusHeader,
	OutgoingHttpHeaders,
} from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatapathError } from '../errors.ts';
import { type CertificateFiles, readCertificates } from './certificates.ts';
import { dial, type Terminator } from './dial.ts';
import { Refusal, readRefusal } from './refusals.ts';
import { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } from './session.ts';

export interface SessionOptions {
	terminator: Terminator;
	/** of this end: they say whose flows these are, so there is a forward proxy for each container */
	certificates: CertificateFiles;
	/** how long a new flow waits for a session before it is refused; 5 s */
	patienceMs?: number;
	/** how many sessions there are for new flows, beside those that only finish theirs; 16 */
	maxSessions?: number;
	/** how often each is asked for a sign of life, and how long that may take; 15 s */
	keepAliveMs?: number;
}

const DIAL_MS = 10_000;
/** Behind an attempt that failed; twice as long behind each further one, up to the last. */
const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 2_000;

interface Held {
	session: ClientHttp2Session;
	streams: number;
}

export class Sessions {
	readonly #options: Required<SessionOptions>;
	#certificates: ReturnType<typeof readCertificates>;
	/** those that take new flows */
	#held: Held[] = [];
	readonly #open = new Set<ClientHttp2Session>();
	readonly #waiting = new Set<() => void>();
	#dialling = false;
	#closed = false;
	#failures = 0;
	#lastFailure = '';

	/** Throws a DatapathError where a certificate file is not what it should be. No session is opened before the first flow. */
	constructor({ patienceMs = 5_000, maxSessions = 16, keepAliveMs = 15_000, ...rest }: SessionOptions) {
		this.#options = { ...rest, patienceMs, maxSessions, keepAliveMs };
		this.#certificates = readCertificates(rest.certificates);
	}

	/** How many are open, those too that only finish their flows. */
	get size(): number {
		return this.#open.size;
	}

	/** `host:port` of the terminating proxy, as HTTP names it. */
	get authority(): string {
		const { host, port } = this.#options.terminator;
		return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
	}

	/** From now on new flows go over new sessions, with what is in the files now; the old sessions end with their last flow. */
	reload(): void {
		this.#certificates = readCertificates(this.#options.certificates);
		for (const { session } of this.#held.splice(0)) session.close();
	}

	/** All flows are reset. */
	close(): void {
		this.#closed = true;
		for (const session of this.#open) session.destroy(undefined, NGHTTP2_CANCEL);
		this.#wake(this.#waiting.size);
	}

	/**
	 * Sends a CONNECT request and waits until it is granted. Throws a Refusal: the terminator's own, or `destination_unavailable` where no
	 * session took the flow in time.
	 */
	async request(headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
		const deadline = Date.now() + this.#options.patienceMs;
		for (;;) {
			const stream = this.#begin(await this.#acquire(deadline), headers);
			const answer = await answerTo(stream);
			if (answer?.[':status'] === 200 && !stream.destroyed) return stream;
			stream.close(NGHTTP2_CANCEL);
			if (answer) throw readRefusal(answer);
			// RFC 9113, 8.7: it was not looked at. The terminator is leaving, or full after all.
			if (stream.rstCode !== NGHTTP2_REFUSED_STREAM)
				throw new Refusal('connection_terminated', 'the session was lost before the terminating proxy answered');
		}
	}

	#begin(held: Held, headers: OutgoingHttpHeaders): ClientHttp2Stream {
		held.streams++;
		const stream = held.session.request(headers, { endStream: false });
		stream.on('error', () => undefined); // 'close' follows
		stream.once('close', () => {
			held.streams--;
			this.#wake(1);
		});
		return stream;
	}

	async #acquire(deadline: number): Promise<Held> {
		for (;;) {
			if (this.#closed) throw new Refusal('destination_unavailable', 'this forward proxy is closed');
			const left = deadline - Date.now();
			if (left <= 0) throw this.#unavailable();
			const free = this.#held.find(({ session, streams }) => streams < session.remoteSettings.maxConcurrentStreams!);
			if (free) return free;
			if (this.#held.length < this.#options.maxSessions) void this.#dial();
			await this.#change(left);
		}
	}

	#unavailable(): Refusal {
		const { patienceMs, maxSessions } = this.#options;
		const why =
			this.#held.length > 0 ? `all ${this.#held.length} of ${maxSessions} sessions are full` : this.#lastFailure;
		return new Refusal('destination_unavailable', `no session within ${patienceMs} ms: ${why || 'none was answered'}`);
	}

	/** One at a time, with a pause behind each that fails; who waits is woken either way. Never throws. */
	async #dial(): Promise<void> {
		if (this.#dialling) return;
		this.#dialling = true;
		const certificates = this.#certificates;
		try {
			const { terminator, keepAliveMs } = this.#options;
			const session = await dial(terminator, certificates, { dialMs: DIAL_MS, keepAliveMs });
			this.#failures = 0;
			if (this.#closed) session.destroy();
			else this.#hold(session, certificates === this.#certificates);
		} catch (error) {
			this.#lastFailure = (error as DatapathError).shortMessage;
			await sleep(Math.min(FIRST_PAUSE_MS * 2 ** this.#failures++, LAST_PAUSE_MS), undefined, { ref: false });
		} finally {
			this.#dialling = false;
			this.#wake(this.#waiting.size);
		}
	}

	#hold(session: ClientHttp2Session, current: boolean): void {
		const release = () => {
			this.#held = this.#held.filter((held) => held.session !== session);
		};
		this.#open.add(session);
		session.once('goaway', release);
		session.once('close', () => {
			release();
			this.#open.delete(session);
		});
		if (current) this.#held.push({ session, streams: 0 });
		else session.close(); // its certificates were replaced while it was opened
	}

	/** Until something may have changed, `left` milliseconds at most. */
	#change(left: number): Promise<void> {
		return new Promise((resolve) => {
			const done = () => {
				clearTimeout(timer);
				this.#waiting.delete(done);
				resolve();
			};
			const timer = setTimeout(done, left);
			this.#waiting.add(done);
		});
	}

	#wake(count: number): void {
		for (const done of [...this.#waiting].slice(0, count)) done();
	}
}

/** Null where the stream ends without one. */
function answerTo(stream: ClientHttp2Stream): Promise<(IncomingHttpHeaders & IncomingHttpStatusHeader) | null> {
	return new Promise((resolve) => {
		stream.once('response', resolve);
		stream.once('close', () => resolve(null));
	});
}
