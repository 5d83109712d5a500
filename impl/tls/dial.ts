/** One session of a forward proxy with its terminating proxy: TLS 1.3, HTTP/2, and the names of whatever was refused on the way. */
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { isIP } from 'node:net';
import { connect as connectTls, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { DatapathError } from '../errors.ts';
import { HTTP2_LIMITS, SETTINGS, tend } from './session.ts';

export interface Terminator {
	/** an address or a name */
	host: string;
	port: number;
	/** the name that its certificate has to bear, where that is not `host` */
	serverName?: string;
}

/**
 * Open, with the terminator's settings known. In TLS 1.3 a client is done before the server has looked at its certificate: only what
 * comes behind the handshake says that it was taken. Throws a DatapathError that names which certificate was refused, by whom, and why.
 */
export async function dial(
	terminator: Terminator,
	certificates: SecureContextOptions,
	{ dialMs, keepAliveMs }: { dialMs: number; keepAliveMs: number },
): Promise<ClientHttp2Session> {
	const { host, port, serverName = host } = terminator;
	const socket = connectTls({
		...certificates,
		host,
		port,
		ALPNProtocols: ['h2'],
		...(isIP(serverName) === 0 && { servername: serverName }),
	});
	const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
	const name = `the terminating proxy ${authority}`;
	let said = '';
	let secure = false;
	const session = connectHttp2(`https://${authority}`, {
		...HTTP2_LIMITS,
		settings: SETTINGS,
		createConnection: () => socket,
	});
	const timer = setTimeout(() => session.destroy(new Error(`no answer within ${dialMs} ms`)), dialMs);
	try {
		await new Promise<void>((resolve, reject) => {
			socket.once('secureConnect', () => {
				secure = true;
				if (socket.alpnProtocol !== 'h2') reject(new Error('it does not speak HTTP/2 (ALPN h2)'));
			});
			// One answer behind its settings: a terminating proxy that refuses this end says so before it.
			session.once('remoteSettings', () => session.ping((error) => (error ? reject(error) : resolve())));
			session.once('goaway', (_code, _last, data) => {
				said = data?.toString() ?? '';
				if (said) reject(new Error(said));
			});
			session.once('error', reject);
			session.once('close', () => reject(new Error('it closed the connection')));
		});
	} catch (error) {
		session.on('error', () => undefined); // the first one is told
		session.destroy();
		throw explain(name, error as Error, socket, { said, secure });
	} finally {
		clearTimeout(timer);
	}
	session.on('error', () => undefined); // 'close' follows, and each stream's own end
	tend(session, keepAliveMs);
	return session;
}

function explain(name: string, error: Error, socket: TLSSocket, { said, secure }: { said: string; secure: boolean }) {
	const { code = '', message } = error as NodeJS.ErrnoException;
	const details = { cause: error };
	if (said) return new DatapathError(`${name} refused the certificate of this end: ${said}`, details);
	if (/^ERR_SSL_.*ALERT/.test(code))
		return new DatapathError(`${name} refused the certificate of this end: ${message}`, details);
	// OpenSSL's verdict on a chain, CERT_HAS_EXPIRED and such, or Node's on the name
	if (!secure && socket.authorizationError)
		return new DatapathError(
			`the certificate of ${name} is refused: ${socket.authorizationError} (${message})`,
			details,
		);
	return new DatapathError(`there is no session with ${name}: ${message}`, {
		...details,
		hint: `openssl s_client -alpn h2 -connect ${name.split(' ').at(-1)}`,
	});
}
