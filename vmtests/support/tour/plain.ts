/** The same as the drawn routes, for a log: a line per hop. */
import { formatHop } from '../trace/path.ts';
import { formatTuple } from '../trace/trace.ts';
import type { PlainPath } from '../trace/types.ts';
import { type Line, span } from './line.ts';

/** `netkit-l3 redirect, out: icmp fd00::1 → fd00::2 echo request: 5 hops, delivered`, and below it the hops. */
export function listRoute(title: string, packet: PlainPath): Line[] {
	const { direction, hops, delivered, lostEvents } = packet;
	const lost = lostEvents ? `, ${lostEvents} events lost` : '';
	return [
		[
			span(`${title}, ${direction}: `, 'title'),
			span(`${formatTuple(packet.packet)}: ${hops.length} hops, `),
			span(`${delivered ? 'delivered' : 'not delivered'}${lost}`, delivered && !lost ? 'good' : 'bad'),
		],
		...hops.map((hop, index) => [
			span(`${`${index + 1}`.padStart(4)} `, 'number'),
			span(formatHop(hop), hop.program ? 'program' : 'plain'),
		]),
	];
}
