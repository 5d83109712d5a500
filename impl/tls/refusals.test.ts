import { expect, test } from 'vitest';
import { proxyStatus, Refusal, readRefusal, refusalOf, statusOf } from './refusals.ts';

const met = (code: string) => refusalOf(Object.assign(new Error(`connect ${code}`), { code }));

test('what a socket failed with at the terminator is what the program would have met, whatever lies between', () => {
	const rows = ['ECONNREFUSED', 'ETIMEDOUT', 'ENETUNREACH', 'EACCES', 'EMFILE', 'EWHATEVER'].map((code) => {
		const refusal = met(code);
		const back = readRefusal({ ':status': String(statusOf(refusal)), ...proxyStatus(refusal) });
		return `${code}: ${statusOf(refusal)} ${back.reason} ${back.code}, ${back.shortMessage}`;
	});
	expect(rows).toEqual([
		'ECONNREFUSED: 502 connection_refused ECONNREFUSED, connect ECONNREFUSED',
		'ETIMEDOUT: 504 connection_timeout ETIMEDOUT, connect ETIMEDOUT',
		'ENETUNREACH: 502 destination_ip_unroutable EHOSTUNREACH, connect ENETUNREACH',
		'EACCES: 502 destination_ip_prohibited EACCES, connect EACCES',
		'EMFILE: 503 connection_limit_reached EAGAIN, connect EMFILE',
		'EWHATEVER: 500 proxy_internal_error EIO, connect EWHATEVER',
	]);
});

test('details survive quoting', () => {
	const refusal = new Refusal('http_request_error', 'a "quoted" \\ name\n');
	expect(proxyStatus(refusal)['proxy-status']).toBe(
		'pathproof; error=http_request_error; details="a \\"quoted\\" \\\\ name?"',
	);
	expect(readRefusal(proxyStatus(refusal)).shortMessage).toBe('a "quoted" \\ name?');
});

test('of a terminator that gives no reason, the status decides', () => {
	const reason = (status: number) => readRefusal({ ':status': String(status) }).reason;
	expect([403, 400, 502, 503, 504, 500].map(reason)).toEqual([
		'destination_ip_prohibited',
		'http_request_error',
		'connection_refused',
		'destination_unavailable',
		'connection_timeout',
		'proxy_internal_error',
	]);
	expect(readRefusal({ ':status': '403', 'proxy-status': 'squid; error=http_request_denied' }).shortMessage).toBe(
		'the terminator answered 403, squid; error=http_request_denied',
	);
});
