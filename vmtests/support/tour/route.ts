/**
 * The drawn route of one packet, beside the same packet's under another way of forwarding:
 *
 *     ╭─ container web ─────────────────────────╮ ╭─ container web ─────────────────────────╮
 *     │ 1 eth0 xmit                             │ │ 1 eth0 xmit                             │
 *     ├─▼─ host ────────────────────────────────┤ ├─▼─ host ────────────────────────────────┤
 *     │ 2 web ingress netkit egress_neigh → …   │ │ 2 web receive                           │
 *     │ ┃                                       │ │ 3 ip6 forward                           │
 *     ╰─ delivered ─────────────────────────────╯ ╰─ delivered ─────────────────────────────╯
 */
import type { Hop, PlainPath } from '../trace/types.ts';
import { align, type Pair, type Taken } from './align.ts';
import { fit, type Line, type Meaning, span, widthOf } from './line.ts';

/** Columns of the whole picture. */
export const PICTURE_WIDTH = 100;

const GAP = 2;

export interface Lane {
	/** e.g. `netkit-l3 redirect` */
	title: string;
	packet: PlainPath;
}

type Side = 'left' | 'right';

/** What a netns is called and drawn like. */
const PLACES: Record<string, { label: string; meaning: Meaning }> = {
	web: { label: 'container web', meaning: 'container' },
	host: { label: 'host', meaning: 'host' },
	peer: { label: 'peer', meaning: 'peer' },
};

export function drawRoutes(left: Lane, right: Lane, width = PICTURE_WIDTH): Line[] {
	const wide = Math.floor((width - GAP) / 2);
	const rooms = groupByNetns(align(left.packet.hops, right.packet.hops));
	const column = (side: Side, lane: Lane): Line[] => [
		fit([span(lane.title, 'title'), span(`  ${hopCount(lane.packet)}`, 'detail')], wide),
		...rooms.flatMap((room, index) => [
			roof(room, rooms[index - 1], side, wide),
			...room.pairs.map((pair) => floor(pair, side, rooms, wide)),
		]),
		foot(lane.packet, wide),
	];
	const [one, two] = [column('left', left), column('right', right)];
	return one.map((line, index) => [...line, span(' '.repeat(GAP)), ...two[index]!]);
}

interface Room {
	netns: string;
	pairs: Pair[];
}

function groupByNetns(pairs: readonly Pair[]): Room[] {
	const rooms: Room[] = [];
	for (const pair of pairs) {
		const { netns } = (pair.left ?? pair.right)!.hop;
		const last = rooms.at(-1);
		if (last?.netns === netns) last.pairs.push(pair);
		else rooms.push({ netns, pairs: [pair] });
	}
	return rooms;
}

/** The upper edge of a netns. The wire between host and peer is drawn double. */
function roof(room: Room, above: Room | undefined, side: Side, width: number): Line {
	const wire = above !== undefined && (room.netns === 'peer' || above.netns === 'peer');
	const [start, fill, end] = above === undefined ? ['╭', '─', '╮'] : wire ? ['╞', '═', '╡'] : ['├', '─', '┤'];
	const { label, meaning } = PLACES[room.netns] ?? { label: `netns ${room.netns}`, meaning: 'plain' };
	const inside = room.pairs.some((pair) => pair[side]);
	const name: Line = inside ? [span(` ${label} `, meaning)] : [span(' not entered ', 'detail')];
	const head: Line = [span(above ? `${start}${fill}▼${fill}` : `${start}${fill}`, 'frame'), ...name];
	const tail = wire ? [span(' the wire ', 'detail'), span(fill, 'frame')] : [];
	const rest = width - widthOf(head) - widthOf(tail) - 1;
	return [...head, span(fill.repeat(rest), 'frame'), ...tail, span(end, 'frame')];
}

function floor(pair: Pair, side: Side, rooms: readonly Room[], width: number): Line {
	const taken = pair[side];
	const text = taken
		? describe(taken, side === 'right' && !pair.shared)
		: [span(inBetween(pair, side, rooms) ? '┃' : ' ', 'jump')];
	return [span('│ ', 'frame'), ...fit(text, width - 4), span(' │', 'frame')];
}

/** Whether this way has hops both before and after: then it passes what the other one takes. */
function inBetween(pair: Pair, side: Side, rooms: readonly Room[]): boolean {
	const pairs = rooms.flatMap((room) => room.pairs);
	const at = pairs.indexOf(pair);
	return pairs.slice(0, at).some((before) => before[side]) && pairs.slice(at).some((after) => after[side]);
}

function describe({ hop, number }: Taken, onlyHere: boolean): Line {
	const name = span(nameWithin(hop), onlyHere ? 'bypassed' : 'plain');
	return [span(`${number} `.padStart(2), 'number'), name, ...ran(hop)];
}

/** `web:eth0 xmit` is `eth0 xmit` within web. */
export function nameWithin({ hop, netns }: Hop): string {
	return hop.startsWith(`${netns}:`) || hop.startsWith(`${netns} `) ? hop.slice(netns.length + 1) : hop;
}

function ran({ attach, program, verdict }: Hop): Line {
	if (!program && !verdict) return [];
	return [
		span(attach ? `  ${attach} ` : '  ', 'detail'),
		span(program ?? '', 'program'),
		span(verdict ? ` → ${verdict}` : '', verdict === 'drop' ? 'bad' : 'program'),
	];
}

function foot({ delivered, lostEvents }: PlainPath, width: number): Line {
	const end = delivered ? span(' delivered ', 'good') : span(' not delivered ', 'bad');
	const lost = lostEvents ? [span(`${lostEvents} events lost `, 'bad')] : [];
	const head: Line = [span('╰─', 'frame'), end, ...lost];
	return [...head, span('─'.repeat(width - widthOf(head) - 1), 'frame'), span('╯', 'frame')];
}

function hopCount({ hops }: PlainPath): string {
	return hops.length === 1 ? '1 hop' : `${hops.length} hops`;
}
