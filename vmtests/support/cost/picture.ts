/**
 * The table of `pathproof perf` as a picture: for each lab a bar of what the measured host spends on a transaction, and below those
 * that the talk measured too, its own. The README's:
 *
 *     npx pathproof perf --kernel 7.3 --device veth netkit-l2 --json > fixtures/pictures/perf.json
 *     node vmtests/support/cost/picture.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { PerfDocument } from '../schema/cost.ts';
import { DOCUMENTS } from '../schema/documents.ts';
import { escapeXml, svg } from '../tour/svg.ts';
import type { PerfRow } from './perf-rows.ts';
import { talkShare } from './talk.ts';

/** Pixels. */
const WIDTH = 900;
const MARGIN = 16;
const BARS = { left: 190, right: 740 };
const LINE = 20;
const BAR = { height: 14, talk: 5 };

const PARTS = ['user', 'system', 'softirq'] as const;
const COLOURS = { user: '#7fb0ff', system: '#5fd0d8', softirq: '#f0c05a' } as const;
const TEXT = { title: '#ffffff', plain: '#d5d9e2', detail: '#8b94a7' } as const;

export function perfPicture({ workload, rows, qemu }: PerfDocument): string {
	const { name, flows, threads, bytes } = workload;
	const most = Math.max(...rows.map((row) => row.instructionsPerTransaction));
	const scale = (BARS.right - BARS.left) / most;
	const drawn: string[] = [];
	let top = MARGIN + LINE;
	const line = (text: string, fill: keyof typeof TEXT = 'detail') => {
		drawn.push(label(MARGIN, top, text, fill));
		top += LINE;
	};
	line(
		`What a transaction costs: ${name}, ${flows} flows, ${threads} threads, ${bytes} byte${bytes > 1 ? 's' : ''}`,
		'title',
	);
	line('guest instructions on the measured host, of which');
	drawn.push(...legend(top - LINE));
	for (const kernel of new Set(rows.map((row) => row.kernel))) {
		top += LINE / 2;
		line(`linux ${kernel}`, 'plain');
		const own = rows.filter((row) => row.kernel === kernel);
		const bare = own.find(({ device }) => device === 'none')!.instructionsPerTransaction;
		for (const row of own) {
			drawn.push(...bar(row, top, scale), ...talkBar(row, top, scale * bare));
			top += LINE + BAR.talk;
		}
	}
	top += LINE / 2;
	line('Thin: the CPU time of the talk, on its own hardware, where its bare metal is as long as none here.');
	line(`Instructions are not cycles, and say nothing of caches. Exact profile, QEMU ${qemu} (TCG).`);
	return svg({ width: WIDTH, height: top, title: `${name}: guest instructions per transaction` }, drawn);
}

function legend(top: number): string[] {
	return PARTS.flatMap((part, index) => {
		const left = 470 + index * 110;
		return [box(left, top - 10, 12, 12, COLOURS[part]), label(left + 18, top, part, 'plain')];
	});
}

function bar(row: PerfRow, top: number, scale: number): string[] {
	const { device, forward, instructionsPerTransaction: all, overNone } = row;
	const end = BARS.left + all * scale;
	const over = device === 'none' ? '' : ` ${overNone < 0 ? '' : '+'}${(100 * overNone).toFixed(1)} %`;
	return [
		label(MARGIN, top, `${device} ${forward}`, 'plain'),
		...stack(row, top - 11, BAR.height, scale),
		label(end + 8, top, `${Math.round(all).toLocaleString('en')}${over}`, 'plain'),
	];
}

/** `scale`: pixels of bare metal. */
function talkBar(row: PerfRow, top: number, scale: number): string[] {
	const share = talkShare(row);
	return share ? stack(share, top - 11 + BAR.height + 1, BAR.talk, scale) : [];
}

function stack(parts: Record<(typeof PARTS)[number], number>, top: number, height: number, scale: number): string[] {
	let left = BARS.left;
	return PARTS.map((part) => {
		const width = parts[part] * scale;
		left += width;
		return box(left - width, top, width, height, COLOURS[part]);
	});
}

function box(x: number, y: number, width: number, height: number, fill: string): string {
	return `<rect x="${rounded(x)}" y="${y}" width="${rounded(width)}" height="${height}" fill="${fill}"/>`;
}

function label(x: number, y: number, text: string, fill: keyof typeof TEXT): string {
	return `<text x="${rounded(x)}" y="${y}" fill="${TEXT[fill]}">${escapeXml(text)}</text>`;
}

const rounded = (value: number) => Math.round(value * 10) / 10;

const fixture = (name: string) => fileURLToPath(new URL(`../../../fixtures/pictures/${name}`, import.meta.url));
export const PICTURE = fixture('perf.svg');

export function readPerf(): PerfDocument {
	return DOCUMENTS.perf.parse(JSON.parse(readFileSync(fixture('perf.json'), 'utf8')));
}

if (import.meta.main) writeFileSync(PICTURE, perfPicture(readPerf()));
