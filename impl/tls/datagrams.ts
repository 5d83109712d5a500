/** Datagrams on the stream of a CONNECT-UDP request, as both proxies read and write them. */
import type { Http2Stream } from 'node:http2';
import { CapsuleReader, encodeDatagram } from './capsules.ts';
import { NGHTTP2_PROTOCOL_ERROR, STREAM_WINDOW } from './session.ts';

/**
 * Where the reader is so slow that a whole window waits, a datagram is lost, as it is at a socket that is full: UDP has no way to
 * stop its sender, and what waits must have an end. Answers whether it was taken.
 */
export function writeDatagram(stream: Http2Stream, payload: Buffer): boolean {
	if (!stream.writable || stream.writableLength > STREAM_WINDOW) return false;
	stream.write(encodeDatagram(payload));
	return true;
}

/** Hands over each, in order. A stream that is no sequence of capsules is reset. */
export function datagramsOf(stream: Http2Stream, take: (payload: Buffer) => void): void {
	const reader = new CapsuleReader();
	const refuse = () => stream.close(NGHTTP2_PROTOCOL_ERROR);
	stream.on('error', () => undefined); // 'close' follows
	stream.on('data', (chunk: Buffer) => {
		let payloads: Buffer[];
		try {
			payloads = reader.push(chunk);
		} catch {
			return refuse(); // RFC 9297, 3.3: malformed, and what else comes has no meaning
		}
		for (const payload of payloads) take(payload);
	});
	stream.on('end', () => {
		if (!reader.whole) refuse();
	});
}
