/** What both ends of a session agree on: TLS 1.3, HTTP/2 and its windows, and how a peer that has vanished is noticed. */
import {
	type ClientSessionOptions,
	constants,
	type Http2Session,
	type SecureServerOptions,
	type Settings,
} from 'node:http2';
import type { SecureContextOptions } from 'node:tls';

export const {
	NGHTTP2_NO_ERROR,
	NGHTTP2_CANCEL,
	NGHTTP2_REFUSED_STREAM,
	NGHTTP2_PROTOCOL_ERROR,
	NGHTTP2_INADEQUATE_SECURITY,
} = constants;

/** Nothing older may be spoken: what is seen on the wire is TLS 1.3 or it is no session. */
export const TLS_1_3 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const satisfies SecureContextOptions;

/**
 * How far one flow's sender may run ahead of its reader. It is what a reader that has stopped costs, for each flow and direction, so
 * it must be small; and a flow gets no more than a window for each round trip, so it must not be too small: 256 KiB are 2 Gbit/s at
 * the 1 ms of a data centre, and 50 Mbit/s at 40 ms. HTTP/2's own default is a quarter of it.
 */
export const STREAM_WINDOW = 256 * 1024;

/** All flows of a session together. Node returns credit here as data comes, read or not: a stopped flow does not stop its neighbours. */
const SESSION_WINDOW = 16 * STREAM_WINDOW;

/** Flows of one session at a time, by the terminator's word; a forward proxy that has more opens another session. */
export const MAX_STREAMS = 1000;

export const SETTINGS: Settings = { initialWindowSize: STREAM_WINDOW, enablePush: false };

/**
 * Beyond `maxSessionMemory` (in MB) Node refuses new flows: so it has room for all streams, each with a full window and as much again
 * on its way out. A reset of a stream is what a program's RST becomes, and a busy client may send hundreds in a second; Node's own
 * limit, meant for strangers (CVE-2023-44487), would end the session with all its flows at 33.
 */
export const HTTP2_LIMITS = {
	maxSessionMemory: (2 * MAX_STREAMS * STREAM_WINDOW) / 1e6,
	streamResetBurst: 10 * MAX_STREAMS,
	streamResetRate: MAX_STREAMS,
} satisfies SecureServerOptions & ClientSessionOptions;

/** Gives a session its window, and ends it when a PING is not answered in time: TCP alone would take a quarter of an hour. */
export function tend(session: Http2Session, keepAliveMs: number): void {
	session.setLocalWindowSize(SESSION_WINDOW);
	let answered = true;
	const timer = setInterval(() => {
		if (!answered) return session.destroy(new Error(`no answer to a PING within ${keepAliveMs} ms`));
		answered = false;
		session.ping((error) => {
			answered = !error;
		});
	}, keepAliveMs);
	session.once('close', () => clearInterval(timer));
}
