/** Long work says on stderr what it does, how far it is and how fast: bars on a terminal, plain lines elsewhere. */
import { styleText } from 'node:util';
import { MultiBar, type SingleBar } from 'cli-progress';
import { formatBytes } from './disk.ts';

export interface Task {
	/** bytes so far */
	update(bytes: number): void;
	/** what it is at just now */
	note(text: string): void;
	/** It is over; `text` says how it went. What is called after it is not heard. */
	done(text?: string): void;
	/** It is over, and came to nothing. */
	failed(text?: string): void;
}

export interface Progress {
	/** `totalBytes` where the end is known: then the task has a bar */
	start(title: string, totalBytes?: number): Task;
}

/** Where nobody watches: often enough to see that it lives, seldom enough for a log. */
const LINE_EVERY_MS = 10_000;

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export const progress: Progress = {
	start: (title, totalBytes) => (process.stderr.isTTY ? startBar(title, totalBytes) : startLines(title, totalBytes)),
};

let bars: MultiBar | undefined;
let running = 0;

function startBar(title: string, total?: number): Task {
	bars ??= openBars();
	running++;
	const started = Date.now();
	const bar: SingleBar = bars.create(total ?? 0, 0, { title, note: '', started });
	let over = false;
	const end = (line: string) => {
		if (over) return;
		over = true;
		running--;
		if (!bars) return;
		bars.remove(bar);
		bars.log(`${line}\n`);
		if (running === 0) closeBars();
		else bars.update();
	};
	return {
		update: (bytes) => bar.update(bytes),
		note: (note) => bar.update({ note }),
		done: (text = 'done') => end(`${styleText('green', '✓')} ${summary(title, started, text)}`),
		failed: (text = 'failed') => end(`${styleText('red', '✗')} ${summary(title, started, text)}`),
	};
}

/** The library's own gracefulExit takes Ctrl-C and does not pass it on: the terminal would be mended and the work go on. */
function openBars(): MultiBar {
	for (const signal of SIGNALS) process.once(signal, mend);
	return new MultiBar({
		format: formatLine,
		stream: process.stderr,
		hideCursor: true,
		clearOnComplete: true,
		fps: 8,
		gracefulExit: false,
	});
}

function closeBars(): void {
	for (const signal of SIGNALS) process.off(signal, mend);
	bars?.update();
	bars?.stop();
	bars = undefined;
}

/** Gives the terminal its cursor back, and lets the signal do what it would have done. */
function mend(signal: NodeJS.Signals): void {
	closeBars();
	if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function formatLine(
	_options: unknown,
	{ value, total }: { value: number; total: number },
	payload: Record<string, unknown>,
): string {
	const { title, note, started } = payload as { title: string; note: string; started: number };
	const seconds = (Date.now() - started) / 1000;
	if (!total) return `${styleText('cyan', '…')} ${title} ${styleText('dim', `${note} ${seconds.toFixed(0)} s`)}`;
	const filled = Math.round(Math.min(1, value / total) * 24);
	const bar = `${styleText('cyan', '━'.repeat(filled))}${styleText('dim', '━'.repeat(24 - filled))}`;
	const rate = seconds > 0.5 ? `${formatBytes(value / seconds)}/s` : '';
	return `${bar} ${title} ${styleText('dim', [`${formatBytes(value)} of ${formatBytes(total)}`, rate, note].filter(Boolean).join('  '))}`;
}

function startLines(title: string, total?: number): Task {
	const started = Date.now();
	let status = 'at it';
	let over = false;
	const say = (text: string) => process.stderr.write(`${summary(title, started, text)}\n`);
	const alive = setInterval(() => say(status), LINE_EVERY_MS).unref();
	const end = (text: string) => {
		clearInterval(alive);
		if (!over) say(text);
		over = true;
	};
	return {
		update(bytes) {
			const share = total ? ` of ${formatBytes(total)}` : '';
			status = `${formatBytes(bytes)}${share}, ${formatBytes((bytes * 1000) / (Date.now() - started + 1))}/s`;
		},
		note(text) {
			status = text;
		},
		done: (text = 'done') => end(text),
		failed: (text = 'failed') => end(text),
	};
}

function summary(title: string, started: number, text: string): string {
	return `${title}: ${text} (${((Date.now() - started) / 1000).toFixed(1)} s)`;
}
