/** A TCP connection joined to the stream of a CONNECT request: what happens to one happens to the other. Both proxies do it alike. */
import type { Http2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { NGHTTP2_NO_ERROR } from './session.ts';

/**
 * - FIN is END_STREAM, each way for itself: the other direction goes on.
 * - RST is RST_STREAM, and a stream that ends in any other way than by both ENDs is RST. RFC 9113, 8.5 has CONNECT_ERROR for it, but
 *   Node's close(code) first sends END_STREAM, which the other end would take for a FIN: so it is destroyed, with INTERNAL_ERROR.
 * - A reader that stops fills the window of its stream, and the writer's socket is not read until it goes on.
 *
 * Both have to be open, with nothing read from them yet; the socket with `allowHalfOpen`. After `idleMs` without a byte either way
 * both are reset; 0 is never.
 */
export function splice(socket: Socket, stream: Http2Stream, idleMs: number): void {
	socket.setNoDelay(true); // the program's own segments were sent for a reason
	socket.setKeepAlive(true); // a peer that has vanished is a reset in the end, as the program's own socket would have seen
	socket.setTimeout(idleMs, () => socket.resetAndDestroy());
	socket.pipe(stream);
	stream.pipe(socket, { end: false });
	// Node ends what it reads of a stream that was cut off, too: that is no FIN.
	stream.on('end', () => {
		if (stream.rstCode === NGHTTP2_NO_ERROR && !stream.aborted) socket.end();
	});

	socket.on('error', () => undefined); // 'close' follows
	socket.on('close', () => {
		// closed in order, what the stream has not sent yet is still to go
		if (!(socket.readableEnded && socket.writableFinished)) stream.destroy(new Error('the connection was reset'));
	});
	stream.on('error', () => undefined); // 'close' follows
	stream.on('close', () => {
		if (stream.rstCode !== NGHTTP2_NO_ERROR || stream.aborted) socket.resetAndDestroy();
	});
}
