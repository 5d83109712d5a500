/** What TCP sends twice: on a slow machine, or over a lossy wire. */
import { flowOf } from './packets.ts';
import type { PacketPath } from './types.ts';

/**
 * The drops, behind their delivery, of what the receiving socket had already, and of an ACK that a later one overtook on another CPU. For
 * `ignoring`, where a test is not about them.
 */
export const DUPLICATES: readonly string[] = [
	'drop TCP_OLD_DATA',
	'drop TCP_OLD_SEQUENCE',
	'drop TCP_INVALID_SEQUENCE',
	'drop TCP_INVALID_SYN',
	'drop TCP_RFC7323_PAWS',
	'drop TCP_RFC7323_PAWS_ACK',
];

/**
 * Without the segments that an earlier one was word for word. What was sent again is answered again, and the answer may find that the
 * socket it is for has gone: a FIN's second ACK ends as NO_SOCKET.
 */
export function withoutRepeats(packets: readonly PacketPath[]): PacketPath[] {
	const seen = new Set<string>();
	return packets.filter(({ events }) => {
		const [first] = events;
		if (!first?.tcp) return true;
		const words = [flowOf(first), first.payload, ...Object.values(first.tcp)].join(' ');
		return !seen.has(words) && seen.add(words);
	});
}
