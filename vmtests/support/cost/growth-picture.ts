/** The document of `pathproof perf --growth` as a picture: a panel for each of what grows, both of its axes logarithmic. Pure. */
import type { GrowthDocument } from '../schema/cost.ts';
import { escapeXml, svg } from '../tour/svg.ts';

/** Pixels. */
const PANEL = { width: 300, height: 220, left: 56, top: 56, gap: 24 };
const LEGEND_LINE = 18;
const COLOURS = ['#7fb0ff', '#5fd0d8', '#f0c05a', '#d69bf0', '#7ee08b', '#ff7a7a'] as const;
const TEXT = { title: '#ffffff', plain: '#d5d9e2', detail: '#8b94a7', frame: '#566074' } as const;
const ROOM = 1.15;

export function growthPicture({ curves, workload }: GrowthDocument): string {
	const axes = [...new Set(curves.map(({ axis }) => axis))];
	const series = [...new Set(curves.map(nameOf))];
	const panels = axes.flatMap((axis, index) => {
		const left = PANEL.left + index * (PANEL.width + PANEL.gap + PANEL.left);
		return panel(
			axis,
			curves.filter((curve) => curve.axis === axis),
			series,
			left,
		);
	});
	const bottom = PANEL.top + PANEL.height + 44;
	const legend = series.flatMap((name, index) => {
		const top = bottom + LEGEND_LINE * index;
		const colour = COLOURS[index % COLOURS.length]!;
		return [
			`<rect x="${PANEL.left}" y="${top - 9}" width="12" height="10" fill="${colour}"/>`,
			text(PANEL.left + 20, top, `${name}: ${exponents(curves.filter((curve) => nameOf(curve) === name))}`, 'plain'),
		];
	});
	return svg(
		{
			width: PANEL.left + axes.length * (PANEL.width + PANEL.gap + PANEL.left),
			height: bottom + LEGEND_LINE * series.length + 24,
			title: `${workload.name}: how guest instructions per transaction grow`,
		},
		[
			text(
				16,
				28,
				`What a transaction costs on the host, as it grows: ${workload.name}, guest instructions, which are not cycles`,
				'title',
			),
			...panels,
			...legend,
		],
	);
}

const nameOf = ({ kernel, device, forward }: GrowthDocument['curves'][number]) =>
	`linux ${kernel} ${device} ${forward}`;

function exponents(curves: GrowthDocument['curves']): string {
	return curves.map(({ axis, exponents }) => `${axis}^${exponents.host.toFixed(3)}`).join(', ');
}

function panel(axis: string, curves: GrowthDocument['curves'], series: readonly string[], left: number): string[] {
	const points = curves.flatMap((curve) => curve.points);
	const [xs, ys] = [points.map(({ at }) => at), points.map(({ host }) => host)];
	const x = scale([Math.min(...xs), Math.max(...xs)], [left, left + PANEL.width]);
	const y = scale([Math.min(...ys) / ROOM, Math.max(...ys) * ROOM], [PANEL.top + PANEL.height, PANEL.top]);
	const ends = [Math.min(...ys), Math.max(...ys)].map((value) =>
		text(left - 6, y(value) + 4, Math.round(value).toLocaleString('en'), 'detail', 'end'),
	);
	const marks = [...new Set(xs)].map((value) =>
		text(x(value), PANEL.top + PANEL.height + 16, value.toLocaleString('en'), 'detail', 'middle'),
	);
	const lines = curves.map((curve) => {
		const colour = COLOURS[series.indexOf(nameOf(curve)) % COLOURS.length]!;
		const path = curve.points.map(({ at, host }) => `${rounded(x(at))},${rounded(y(host))}`);
		const dots = path.map(
			(point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3" fill="${colour}"/>`,
		);
		return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join('')}`;
	});
	return [
		`<rect x="${left}" y="${PANEL.top}" width="${PANEL.width}" height="${PANEL.height}" fill="none" stroke="${TEXT.frame}"/>`,
		text(left, PANEL.top - 8, axis, 'plain'),
		...ends,
		...marks,
		...lines,
	];
}

/** Logarithmic. */
function scale(
	[from, to]: readonly [number, number],
	[start, end]: readonly [number, number],
): (value: number) => number {
	const whole = Math.log(to / from) || 1;
	return (value) => start + (Math.log(value / from) / whole) * (end - start);
}

function text(x: number, y: number, words: string, fill: keyof typeof TEXT, anchor = 'start'): string {
	return `<text x="${rounded(x)}" y="${rounded(y)}" fill="${TEXT[fill]}" text-anchor="${anchor}">${escapeXml(words)}</text>`;
}

const rounded = (value: number) => Math.round(value * 10) / 10;
