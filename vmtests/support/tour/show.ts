/** What the tour prints of the traces: for one packet each way the route beside the stack's, and what was bypassed. */
import { formatTuple } from '../trace/trace.ts';
import type { Hop, PlainPath } from '../trace/types.ts';
import type { Device } from '../types.ts';
import { bypassed } from './align.ts';
import { type Line, span, wrap } from './line.ts';
import { listRoute } from './plain.ts';
import { drawRoutes, PICTURE_WIDTH } from './route.ts';

export interface Compared {
	device: Device;
	redirect: readonly PlainPath[];
	stack: readonly PlainPath[];
}

const DIRECTIONS = [
	{ direction: 'out', words: 'from the container' },
	{ direction: 'in', words: 'to the container' },
] as const;

/** Drawn where `columns` allow it, else listed. */
export function showComparison({ device, redirect, stack }: Compared, columns: number): Line[] {
	return DIRECTIONS.flatMap(({ direction, words }) => {
		const [ours, theirs] = [redirect, stack].map((packets) => packets.find((packet) => packet.direction === direction));
		if (!ours || !theirs) return [];
		const lanes = [
			{ title: `${device} redirect`, packet: ours },
			{ title: `${device} stack`, packet: theirs },
		] as const;
		const drawn = columns >= PICTURE_WIDTH;
		return [
			[],
			...(drawn ? [[span(`${direction}, ${words}: `, 'title'), span(formatTuple(ours.packet), 'detail')]] : []),
			...(drawn
				? drawRoutes(...lanes)
				: [...listRoute(lanes[0].title, lanes[0].packet), [], ...listRoute(lanes[1].title, lanes[1].packet)]),
			...nameBypassed(ours, theirs),
		];
	});
}

/** `bypassed: 4 hops of the host: host backlog, …` */
export function nameBypassed(ours: PlainPath, theirs: PlainPath): Line[] {
	const hops = bypassed(ours.hops, theirs.hops);
	if (!hops.length) return [[span('bypassed: nothing, both took the same hops', 'bad')]];
	const netns = [...new Set(hops.map((hop) => hop.netns))].join(' and ');
	const words = hops.map((hop: Hop) => hop.hop);
	const head = `bypassed ${hops.length} ${hops.length === 1 ? 'hop' : 'hops'} of the ${netns}: `;
	return wrap(words, ',', PICTURE_WIDTH - head.length).map((text, index) => [
		span(index === 0 ? head : ' '.repeat(head.length), 'jump'),
		span(text, 'bypassed'),
	]);
}
