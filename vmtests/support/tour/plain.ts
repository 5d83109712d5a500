/** The same as the drawn routes, for a log: a line per hop. */
import { formatHop } from '../trace/path.ts';
import { formatTuple } from '../trace/trace.ts';
import type { Fate, PlainPath } from '../trace/types.ts';
import { type Line, span } from './line.ts';

const FATES: Record<Fate, string> = {
	delivered: 'delivered',
	dropped: 'not delivered',
	queued: 'not delivered: it waits in a queue',
	segmented: 'went on in smaller packets',
	merged: 'went on in a larger packet',
	unwrapped: 'went on as the packet that it carried',
	unexplained: 'not seen to arrive',
};

/** `netkit-l3 redirect, out: icmp fd00::1 → fd00::2 echo request: 5 hops, delivered`, and below it the hops. */
export function listRoute(title: string, packet: PlainPath): Line[] {
	const { direction, hops, delivered, fate, lostEvents } = packet;
	const lost = lostEvents ? `, ${lostEvents} events lost` : '';
	return [
		[
			span(`${title}, ${direction}: `, 'title'),
			span(`${formatTuple(packet.packet)}: ${hops.length} hops, `),
			span(`${FATES[fate]}${lost}`, delivered && !lost ? 'good' : 'bad'),
		],
		...hops.map((hop, index) => [
			span(`${`${index + 1}`.padStart(4)} `, 'number'),
			span(formatHop(hop), hop.program ? 'program' : 'plain'),
		]),
	];
}
