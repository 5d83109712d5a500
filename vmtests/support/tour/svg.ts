/** Lines of text as an SVG: letters as text, frames as drawn strokes, so that they meet whatever font the reader has. */
import { type Line, type Meaning, type Span, widthOf } from './line.ts';

/** Pixels. */
const CELL = { width: 8, height: 18 };
const MARGIN = 16;
const FONT = 13;

/** On a dark ground, as most terminals have. */
const GROUND = '#14171f';
const COLOURS: Record<Meaning, { fill: string; bold?: boolean }> = {
	plain: { fill: '#d5d9e2' },
	title: { fill: '#ffffff', bold: true },
	frame: { fill: '#566074' },
	number: { fill: '#7d879b' },
	container: { fill: '#d69bf0', bold: true },
	host: { fill: '#5fd0d8', bold: true },
	peer: { fill: '#7fb0ff', bold: true },
	program: { fill: '#7ee08b', bold: true },
	detail: { fill: '#8b94a7' },
	bypassed: { fill: '#f0c05a' },
	jump: { fill: '#7ee08b' },
	good: { fill: '#7ee08b' },
	bad: { fill: '#ff7a7a', bold: true },
};

/** Where the strokes of a character of a frame lead; `round` joins two of them by an arc. */
const STROKES: Record<string, { to: string; double?: boolean; heavy?: boolean }> = {
	'─': { to: 'EW' },
	'│': { to: 'NS' },
	'╭': { to: 'ES' },
	'╮': { to: 'WS' },
	'╰': { to: 'EN' },
	'╯': { to: 'WN' },
	'├': { to: 'NSE' },
	'┤': { to: 'NSW' },
	'═': { to: 'EW', double: true },
	'╞': { to: 'NSE', double: true },
	'╡': { to: 'NSW', double: true },
	'┃': { to: 'NS', heavy: true },
};

export function toSvg(lines: readonly Line[], title: string): string {
	const columns = Math.max(...lines.map(widthOf));
	const [width, height] = [columns * CELL.width + 2 * MARGIN, lines.length * CELL.height + 2 * MARGIN];
	return svg(
		{ width, height, title },
		lines.flatMap((line, row) => drawLine(line, MARGIN + row * CELL.height)),
	);
}

/** A picture of the house's ground and letters, with these elements on it. */
export function svg(
	{ width, height, title }: { width: number; height: number; title: string },
	elements: readonly string[],
): string {
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
		`<title>${escapeXml(title)}</title>`,
		`<rect width="${width}" height="${height}" rx="10" fill="${GROUND}"/>`,
		`<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}" xml:space="preserve">`,
		...elements,
		'</g>',
		'</svg>',
		'',
	].join('\n');
}

function drawLine(line: Line, top: number): string[] {
	let column = 0;
	return line.flatMap((part) => {
		const left = MARGIN + column * CELL.width;
		column += widthOf([part]);
		return [...drawFrame(part, left, top), ...drawText(part, left, top)];
	});
}

/** Runs of letters, each pinned to the width of its cells. */
function drawText({ text, meaning }: Span, left: number, top: number): string[] {
	const { fill, bold } = COLOURS[meaning];
	const letters = [...text].map((letter) => (letter in STROKES ? ' ' : letter)).join('');
	return Array.from(letters.matchAll(/\S+(?: \S+)*/g), ({ 0: run, index }) => {
		const x = left + [...letters.slice(0, index)].length * CELL.width;
		const length = [...run].length * CELL.width;
		return `<text x="${x}" y="${top + FONT}" textLength="${length}" lengthAdjust="spacingAndGlyphs" fill="${fill}"${bold ? ' font-weight="600"' : ''}>${escapeXml(run)}</text>`;
	});
}

function drawFrame({ text, meaning }: Span, left: number, top: number): string[] {
	const drawn: Record<'thin' | 'heavy', string> = { thin: '', heavy: '' };
	for (const [index, letter] of [...text].entries()) {
		const stroke = STROKES[letter];
		if (stroke) drawn[stroke.heavy ? 'heavy' : 'thin'] += strokePath(stroke, left + index * CELL.width, top);
	}
	const { fill } = COLOURS[meaning];
	return (['thin', 'heavy'] as const)
		.filter((kind) => drawn[kind])
		.map(
			(kind) => `<path d="${drawn[kind]}" fill="none" stroke="${fill}" stroke-width="${kind === 'heavy' ? 3 : 1}"/>`,
		);
}

function strokePath({ to, double }: { to: string; double?: boolean }, left: number, top: number): string {
	const [x, y] = [left + CELL.width / 2, top + CELL.height / 2];
	const ends: Record<string, [number, number]> = {
		N: [x, top],
		S: [x, top + CELL.height],
		E: [left + CELL.width, y],
		W: [left, y],
	};
	const corner = to.length === 2 && /[EW]/.test(to) && /[NS]/.test(to);
	if (corner) return `M${ends[to[0]!]} Q${x},${y} ${ends[to[1]!]}`;
	return [...to]
		.flatMap((side) => {
			const [ex, ey] = ends[side]!;
			const apart = double && (side === 'E' || side === 'W') ? [-1.5, 1.5] : [0];
			return apart.map((dy) => `M${x},${y + dy} L${ex},${ey + dy}`);
		})
		.join('');
}

export function escapeXml(text: string): string {
	return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
