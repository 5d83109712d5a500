/** One flow of the terminating proxy's: the socket to its destination, and the stream that it answers. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import { connect, isIPv6 } from 'node:net';
import { datagramsOf, writeDatagram } from './datagrams.ts';
import type { Endpoint } from './endpoints.ts';
import { proxyStatus, Refusal, refusalOf } from './refusals.ts';
import { STREAM_WINDOW } from './session.ts';
import { splice } from './splice.ts';

export interface OutboundLimits {
	/** A TCP destination that does not answer is given up after so long; what the kernel does by itself, some 2 min, at most. 30 s */
	connectMs?: number;
	/** without a byte either way; 2 h 4 min (RFC 5382), 0 is never */
	tcpIdleMs?: number;
	/** without a datagram either way; 2 min (RFC 4787) */
	udpIdleMs?: number;
}

/** Grants the request once the destination has taken the connection. Throws what it failed with before. */
export async function carryTcp(
	stream: ServerHttp2Stream,
	{ address, port }: Endpoint,
	limits: Required<OutboundLimits>,
) {
	const socket = connect({ host: address, port, allowHalfOpen: true });
	const { connectMs } = limits;
	const late = () =>
		socket.destroy(new Refusal('connection_timeout', `${address} did not answer within ${connectMs} ms`));
	const left = () => socket.destroy(new Refusal('connection_terminated', 'the program has gone meanwhile'));
	const timer = setTimeout(late, connectMs);
	stream.once('close', left);
	try {
		await once(socket, 'connect');
	} finally {
		clearTimeout(timer);
		stream.off('close', left);
	}
	if (stream.destroyed) return void socket.resetAndDestroy();
	stream.respond({ ':status': 200 });
	splice(socket, stream, limits.tcpIdleMs);
}

/**
 * A connected socket for each flow: the kernel then hands over no datagram but its destination's, and the errors that ICMP reports.
 * One of those ends the stream (RFC 9298, 3.1) with the reason behind the last datagram, as Proxy-Status in the trailers.
 */
export async function carryUdp(
	stream: ServerHttp2Stream,
	{ address, port }: Endpoint,
	limits: Required<OutboundLimits>,
) {
	const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
	let failure: Refusal | null = null;
	let open = true;
	const end = () => {
		if (!open) return;
		open = false;
		idle.close();
		socket.close();
		stream.end();
	};
	const idle = setTimeout(end, limits.udpIdleMs);
	stream.once('close', end);
	socket.connect(port, address);
	try {
		await once(socket, 'connect');
	} catch (error) {
		idle.close();
		throw error;
	}
	if (stream.destroyed) return;

	const fail = (error: Error) => {
		failure = refusalOf(error);
		end();
	};
	socket.on('error', fail);
	socket.on('message', (payload) => {
		idle.refresh();
		writeDatagram(stream, payload);
	});
	stream.respond({ ':status': 200, 'capsule-protocol': '?1' }, { waitForTrailers: true });
	stream.once('wantTrailers', () => stream.sendTrailers(failure ? proxyStatus(failure) : {}));
	datagramsOf(stream, (payload) => {
		// behind a full queue of the kernel's a datagram is lost, as it would be at the program's own socket
		if (!open || socket.getSendQueueSize() > STREAM_WINDOW) return;
		idle.refresh();
		socket.send(payload, (error) => {
			// too long for this family or path: lost, and the flow goes on
			if (error && (error as NodeJS.ErrnoException).code !== 'EMSGSIZE') fail(error);
		});
	});
	stream.once('end', end);
}
