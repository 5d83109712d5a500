/** Text with a meaning for each part of it, from which both the terminal and the picture take their colours. */
import { styleText } from 'node:util';

export type Meaning =
	| 'plain'
	| 'title'
	| 'frame'
	| 'number'
	| 'container'
	| 'host'
	| 'peer'
	| 'program'
	| 'detail'
	| 'bypassed'
	| 'jump'
	| 'good'
	| 'bad';

export interface Span {
	text: string;
	meaning: Meaning;
}

export type Line = Span[];

type Format = Parameters<typeof styleText>[0];

const FORMATS: Record<Meaning, Format> = {
	plain: 'reset',
	title: 'bold',
	frame: 'gray',
	number: 'dim',
	container: ['bold', 'magenta'],
	host: ['bold', 'cyan'],
	peer: ['bold', 'blue'],
	program: ['bold', 'green'],
	detail: 'dim',
	bypassed: 'yellow',
	jump: 'green',
	good: 'green',
	bad: ['bold', 'red'],
};

export function span(text: string, meaning: Meaning = 'plain'): Span {
	return { text, meaning };
}

export function widthOf(line: Line): number {
	return line.reduce((sum, { text }) => sum + [...text].length, 0);
}

/** Cut to `width`, the last character then being an ellipsis, or filled up with spaces. */
export function fit(line: Line, width: number): Line {
	const missing = width - widthOf(line);
	if (missing >= 0) return missing ? [...line, span(' '.repeat(missing))] : line;
	const cut: Line = [];
	let room = width - 1;
	for (const { text, meaning } of line) {
		const kept = [...text].slice(0, room).join('');
		room -= [...kept].length;
		cut.push(span(kept, meaning));
		if (room === 0) break;
	}
	return [...cut, span('…', 'detail')];
}

export function toText(line: Line): string {
	return line
		.map(({ text }) => text)
		.join('')
		.trimEnd();
}

/** In colours where the stream is a terminal that has them; NO_COLOR and FORCE_COLOR are obeyed. */
export function toTerminal(line: Line, stream: NodeJS.WriteStream = process.stdout): string {
	return line
		.map(({ text, meaning }) => (meaning === 'plain' ? text : styleText(FORMATS[meaning], text, { stream })))
		.join('')
		.trimEnd();
}

/** The words, each but the last with `mark` after it, in lines of at most `width` where a word alone is not longer. */
export function wrap(words: readonly string[], mark: string, width: number): string[] {
	const lines: string[] = [];
	for (const [index, word] of words.entries()) {
		const text = index < words.length - 1 ? word + mark : word;
		const last = lines.at(-1);
		if (last !== undefined && last.length + 1 + text.length <= width) lines[lines.length - 1] = `${last} ${text}`;
		else lines.push(text);
	}
	return lines;
}
