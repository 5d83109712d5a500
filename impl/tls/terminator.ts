/**
 * The terminating proxy, beside the servers: takes the sessions of forward proxies whose certificate names a container, and carries
 * each flow on to where it was meant to go, where that is allowed.
 */
import { constants } from 'node:crypto';
import {
	createSecureServer,
	type IncomingHttpHeaders,
	type ServerHttp2Session,
	type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { DatapathError } from '../errors.ts';
import { type CertificateFiles, readCertificates } from './certificates.ts';
import { Allowed, type Endpoint, formatEndpoint, parseEndpoint, parseUdpPath } from './endpoints.ts';
import { containerOf } from './identity.ts';
import { carryTcp, carryUdp, type OutboundLimits } from './outbound.ts';
import { proxyStatus, Refusal, refusalOf, statusOf } from './refusals.ts';
import {
	HTTP2_LIMITS,
	MAX_STREAMS,
	NGHTTP2_CANCEL,
	NGHTTP2_INADEQUATE_SECURITY,
	NGHTTP2_REFUSED_STREAM,
	SETTINGS,
	tend,
} from './session.ts';

/** What happens to a flow, and whose it is; of a session that was refused, no container is known. */
export interface FlowReport {
	event: 'open' | 'close' | 'refused';
	container: string | null;
	protocol: 'tcp' | 'udp' | null;
	/** as HTTP named it, or the peer of the session that was refused */
	destination: string;
	refusal: DatapathError | null;
}

export interface TerminatorOptions extends OutboundLimits {
	certificates: CertificateFiles;
	/** who vouches for the names of containers: the domain of `spiffe://pathproof/container/web`; `pathproof` */
	trustDomain?: string;
	/** the prefixes that flows may go to; no others */
	allow: readonly string[];
	/** flows of one session at a time, what HTTP/2 calls MAX_CONCURRENT_STREAMS; 1,000 */
	maxStreams?: number;
	/** flows of one container, over all of its sessions; 10,000 */
	maxFlows?: number;
	/** how often a session is asked for a sign of life, and how long that may take; 15 s */
	keepAliveMs?: number;
	report?(flow: FlowReport): void;
}

/** A flow that was asked for. */
interface Wanted {
	container: string;
	protocol: 'tcp' | 'udp';
	destination: string;
}

/** Node's timers take no more; a session that drains then is opened again. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const HANDSHAKE_MS = 10_000;
/** A peer whose certificate was refused is told why, and then cut off. */
const FAREWELL_MS = 1_000;

export class TerminatingProxy {
	/** the caller listens with it */
	readonly server: ReturnType<typeof createSecureServer>;
	readonly #options: Required<TerminatorOptions>;
	readonly #allowed: Allowed;
	readonly #sessions = new Map<ServerHttp2Session, string>();
	readonly #flows = new Map<string, number>();

	/** Throws a DatapathError where a certificate file or a prefix is not what it should be. */
	constructor(options: TerminatorOptions) {
		this.#options = {
			trustDomain: 'pathproof',
			maxStreams: MAX_STREAMS,
			maxFlows: 10 * MAX_STREAMS,
			keepAliveMs: 15_000,
			connectMs: 30_000,
			tcpIdleMs: 7_440_000,
			udpIdleMs: 120_000,
			report: () => undefined,
			...options,
		};
		this.#allowed = new Allowed(options.allow);
		this.server = createSecureServer({
			...HTTP2_LIMITS,
			...this.#context(),
			settings: { ...SETTINGS, enableConnectProtocol: true, maxConcurrentStreams: this.#options.maxStreams },
			handshakeTimeout: HANDSHAKE_MS,
			requestCert: true,
			// In TLS 1.3 the peer would not be told why. It is refused below, before any stream of its is looked at.
			rejectUnauthorized: false,
		});
		this.server.on('session', (session) => this.#admit(session));
		this.server.on('stream', (stream, headers) => this.#serve(stream as ServerHttp2Stream, headers));
		this.server.on('sessionError', () => undefined); // the session's 'close' follows
	}

	/** From now on sessions are judged by what is in the files now; open flows go on, new ones need a new session. */
	reload(): void {
		this.server.setSecureContext(this.#context());
		for (const session of this.#sessions.keys()) session.close();
	}

	/** All flows are reset. */
	close(): void {
		this.server.close();
		for (const session of this.#sessions.keys()) session.destroy(undefined, NGHTTP2_CANCEL);
	}

	/** No tickets: who comes back with one would not be asked for a certificate again, revoked or not. */
	#context() {
		return { ...readCertificates(this.#options.certificates), secureOptions: constants.SSL_OP_NO_TICKET };
	}

	#admit(session: ServerHttp2Session): void {
		try {
			const { container, validMs } = judge(session, this.#options.trustDomain);
			this.#sessions.set(session, container);
			// Past the end of its certificate no flow is begun; those that are open go on.
			const expiry = setTimeout(() => session.close(), Math.min(validMs, MAX_TIMER_MS)).unref();
			session.once('close', () => {
				clearTimeout(expiry);
				this.#sessions.delete(session);
			});
			tend(session, this.#options.keepAliveMs);
		} catch (error) {
			const refusal = error as DatapathError;
			const { remoteAddress, remotePort } = session.socket;
			this.#tell(
				'refused',
				{ container: null, protocol: null, destination: `${remoteAddress} ${remotePort}` },
				refusal,
			);
			session.goaway(NGHTTP2_INADEQUATE_SECURITY, 0, Buffer.from(refusal.shortMessage));
			session.close();
			setTimeout(() => session.destroy(), FAREWELL_MS).unref();
		}
	}

	async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
		stream.on('error', () => undefined); // 'close' follows
		const container = this.#sessions.get(stream.session as ServerHttp2Session);
		if (container === undefined) return stream.close(NGHTTP2_REFUSED_STREAM);
		const protocol = headers[':protocol'] === undefined ? 'tcp' : 'udp';
		const wanted: Wanted = { container, protocol, destination: '' };
		try {
			const destination = destinationOf(headers);
			wanted.destination = formatEndpoint(destination);
			this.#check(container, destination);
			this.#count(container, stream);
			await (protocol === 'tcp' ? carryTcp : carryUdp)(stream, destination, this.#options);
			this.#tell('open', wanted);
			if (stream.destroyed) this.#tell('close', wanted);
			else stream.once('close', () => this.#tell('close', wanted));
		} catch (error) {
			const refusal = refusalOf(error);
			this.#tell('refused', wanted, refusal);
			if (!stream.destroyed && !stream.headersSent)
				stream.respond({ ':status': statusOf(refusal), ...proxyStatus(refusal) }, { endStream: true });
		}
	}

	#check(container: string, destination: Endpoint): void {
		if (!this.#allowed.permits(destination))
			throw new Refusal('destination_ip_prohibited', `${container} may not reach ${formatEndpoint(destination)}`);
		if ((this.#flows.get(container) ?? 0) >= this.#options.maxFlows)
			throw new Refusal('connection_limit_reached', `${container} has ${this.#options.maxFlows} flows already`);
	}

	#count(container: string, stream: ServerHttp2Stream): void {
		const add = (change: number) => {
			const flows = (this.#flows.get(container) ?? 0) + change;
			if (flows > 0) this.#flows.set(container, flows);
			else this.#flows.delete(container);
		};
		add(1);
		stream.once('close', () => add(-1));
	}

	#tell(
		event: FlowReport['event'],
		flow: Omit<FlowReport, 'event' | 'refusal'>,
		refusal: DatapathError | null = null,
	): void {
		this.#options.report({ event, ...flow, refusal });
	}
}

/** Whose session it is, and for how long. Throws a DatapathError where its certificate is missing, refused or names no container. */
function judge({ socket }: ServerHttp2Session, trustDomain: string): { container: string; validMs: number } {
	const tls = socket as TLSSocket;
	const certificate = tls.getPeerX509Certificate();
	if (!certificate) throw new DatapathError('it has sent no certificate');
	if (!tls.authorized) {
		const { subjectAltName, subject, validTo } = certificate;
		throw new DatapathError(`${tls.authorizationError}: ${subjectAltName ?? subject}, valid to ${validTo}`);
	}
	const validMs = Date.parse(certificate.validTo) - Date.now();
	return { container: containerOf(certificate, trustDomain), validMs };
}

/** Throws a Refusal for what is neither CONNECT nor CONNECT-UDP. */
function destinationOf(headers: IncomingHttpHeaders): Endpoint {
	const { ':method': method, ':protocol': protocol, ':authority': authority = '', ':path': path = '' } = headers;
	try {
		if (method === 'CONNECT' && protocol === undefined) return parseEndpoint(authority);
		if (method === 'CONNECT' && protocol === 'connect-udp') return parseUdpPath(path);
	} catch (error) {
		throw new Refusal('http_request_error', (error as DatapathError).shortMessage, error);
	}
	throw new Refusal('http_request_error', `${protocol ?? method} is neither CONNECT nor connect-udp`);
}
