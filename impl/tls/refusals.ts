/** Why a flow was refused: one table from what the kernel said at the terminator, over HTTP, to what the program would have seen. */
import type { IncomingHttpHeaders } from 'node:http2';
import { DatapathError } from '../errors.ts';

interface Row {
	/** what RFC 9209, 2.3 recommends for this error */
	status: number;
	/** what a system call at the terminator failed with, or would have at the program's own socket: the first one */
	errors: readonly [string, ...string[]];
}

/** By their names in Proxy-Status: https://www.iana.org/assignments/http-proxy-status. */
const REASONS = {
	connection_refused: { status: 502, errors: ['ECONNREFUSED'] },
	connection_timeout: { status: 504, errors: ['ETIMEDOUT'] },
	connection_terminated: { status: 502, errors: ['ECONNRESET', 'EPIPE'] },
	destination_ip_unroutable: { status: 502, errors: ['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EINVAL'] },
	destination_ip_prohibited: { status: 502, errors: ['EACCES', 'EPERM'] },
	connection_limit_reached: { status: 503, errors: ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] },
	http_request_error: { status: 400, errors: ['EPROTO'] },
	/** no session to the terminator: it is away, or one side's certificate was refused. Fails closed. */
	destination_unavailable: { status: 503, errors: ['ENETDOWN'] },
	proxy_internal_error: { status: 500, errors: ['EIO'] },
} as const satisfies Record<string, Row>;

export type Reason = keyof typeof REASONS;

/** A flow that was refused, at whichever end. Its `code` is the errno that the program would have met without proxies. */
export class Refusal extends DatapathError {
	override name = 'Refusal';
	readonly reason: Reason;
	readonly code: string;

	constructor(reason: Reason, details: string, cause?: unknown) {
		super(details, { cause });
		this.reason = reason;
		this.code = REASONS[reason].errors[0];
	}
}

/** Of what a socket of the terminator's failed with. */
export function refusalOf(error: unknown): Refusal {
	if (error instanceof Refusal) return error;
	const { code = '', message } = error as NodeJS.ErrnoException;
	const row = Object.entries(REASONS).find(([, { errors }]) => (errors as readonly string[]).includes(code));
	return new Refusal((row?.[0] as Reason | undefined) ?? 'proxy_internal_error', message, error);
}

/** RFC 9209: as the headers of an answer, or, without the status, as trailers. */
export function proxyStatus({ reason, shortMessage }: Refusal): { 'proxy-status': string } {
	// a string of structured fields (RFC 8941, 3.3.3) is printable ASCII
	const details = shortMessage.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&');
	return { 'proxy-status': `pathproof; error=${reason}; details="${details}"` };
}

export const statusOf = ({ reason }: Refusal): number => REASONS[reason].status;

/** The way back. An end nobody here wrote may know other reasons, or give none: then the status decides. */
export function readRefusal(headers: IncomingHttpHeaders): Refusal {
	const text = [headers['proxy-status'] ?? ''].flat().join(', ');
	const status = Number(headers[':status']);
	const token = /;\s*error=([a-z_]+)/.exec(text)?.[1] ?? '';
	const details = /;\s*details="((?:[^"\\]|\\.)*)"/.exec(text)?.[1]?.replace(/\\(.)/g, '$1');
	const reason = Object.hasOwn(REASONS, token) ? (token as Reason) : reasonOfStatus(status);
	return new Refusal(reason, details ?? `the terminator answered ${status || 'nothing'}${text && `, ${text}`}`);
}

/** RFC 9110, 15: what a proxy means by them that says no more. */
function reasonOfStatus(status: number): Reason {
	if (status === 504) return 'connection_timeout';
	if (status === 403) return 'destination_ip_prohibited';
	if (status === 502) return 'connection_refused';
	if (status === 503) return 'destination_unavailable';
	return status >= 400 && status < 500 ? 'http_request_error' : 'proxy_internal_error';
}
