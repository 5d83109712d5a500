/** What `pathproof trace` prints for people. */
import { type Line, span } from './tour/line.ts';
import { listRoute } from './tour/plain.ts';
import { formatTuple } from './trace/trace.ts';
import type { PacketEvent, PacketPath } from './trace/types.ts';
import { isMissing, whyNotDelivered } from './trace/why.ts';
import type { Details } from './trace-document.ts';

/** One packet: its hops or, with `why`, what became of it; with `raw`, all that was seen of it below. */
export function showPacket(title: string, packet: PacketPath, { raw, why }: Details): Line[] {
	return [
		[],
		...(why ? explainDrop(title, packet) : listRoute(title, packet)),
		...(raw ? packet.events.map(showEvent) : []),
	];
}

function explainDrop(title: string, packet: PacketPath): Line[] {
	const { where, reason, function: by, meaning } = whyNotDelivered(packet);
	const rows = { where, reason, function: by, means: meaning ?? 'not known to pathproof' };
	return [
		[
			span(`${title}, ${packet.direction}: `, 'title'),
			span(`${formatTuple(packet.packet)}: `),
			span(packet.fate, 'bad'),
			...(packet.lostEvents ? [span(`, ${packet.lostEvents} events lost`, 'bad')] : []),
		],
		...Object.entries(rows).flatMap(([name, text]) =>
			text === null ? [] : [[span(`  ${name.padEnd(9)} `, 'detail'), span(text)]],
		),
	];
}

function showEvent(event: PacketEvent): Line {
	const { time, cpu, netns, device, symbol, kind, skb, head, length, mark, socket, softirq } = event;
	const place = device === null ? netns : `${netns}:${device}`;
	const words = [
		(time / 1e9).toFixed(9).padStart(16),
		`cpu ${cpu}`,
		`${place} ${symbol}${kind === 'note' ? '' : ` (${kind})`}`,
		`skb ${skb}`,
		`head ${head}`,
		`${length} bytes`,
		mark && `mark 0x${mark.toString(16)}`,
		socket && 'socket',
		softirq && 'softirq',
	];
	return [span(`     ${words.filter(Boolean).join('  ')}`, 'detail')];
}

/** After all packets of `why`: how many of them were delivered. */
export function countDropped(packets: readonly PacketPath[], lostEvents: number): Line {
	const missing = packets.filter(isMissing).length;
	if (lostEvents)
		return [span(`packets: ${packets.length}, and ${lostEvents} events lost: more may be missing`, 'bad')];
	if (!packets.length) return [span('no packet was seen', 'bad')];
	if (!missing) return [span(`packets: ${packets.length}, all delivered`, 'good')];
	return [span(`packets: ${packets.length}, not delivered: ${missing}`, 'bad')];
}
