/** Long work says on stderr what it does, how far it is and how fast: bars on a terminal, plain lines elsewhere. */
import { styleText } from 'node:util';
import { MultiBar, type SingleBar } from 'cli-progress';
import { formatBytes } from './disk.ts';

export interface Task {
	/** bytes so far */
	update(bytes: number): void;
	/** what it is at just now */
	note(text: string): void;
	/** It is over; `text` says how it went. May be called more than once. */
	done(text?: string): void;
}

export interface Progress {
	/** `totalBytes` where the end is known: then the task has a bar */
	start(title: string, totalBytes?: number): Task;
}

/** Where nobody watches: often enough to see that it lives, seldom enough for a log. */
const LINE_EVERY_MS = 10_000;

export const progress: Progress = {
	start: (title, totalBytes) => (process.stderr.isTTY ? startBar(title, totalBytes) : startLines(title, totalBytes)),
};

let bars: MultiBar | undefined;
let running = 0;

function startBar(title: string, total?: number): Task {
	bars ??= new MultiBar({
		format: formatLine,
		stream: process.stderr,
		hideCursor: true,
		clearOnComplete: true,
		fps: 8,
	});
	running++;
	const started = Date.now();
	const bar: SingleBar = bars.create(total ?? 0, 0, { title, note: '', started });
	let over = false;
	return {
		update: (bytes) => bar.update(bytes),
		note: (note) => bar.update({ note }),
		done(text) {
			if (over || !bars) return;
			over = true;
			bars.remove(bar);
			bars.log(`${styleText('green', '✓')} ${summary(title, started, text)}\n`);
			if (--running > 0) return;
			bars.update();
			bars.stop();
			bars = undefined;
		},
	};
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
	let [spoken, over] = [started, false];
	const say = (text: string) => {
		spoken = Date.now();
		process.stderr.write(`${title}: ${text}\n`);
	};
	return {
		update(bytes) {
			if (Date.now() - spoken < LINE_EVERY_MS) return;
			const rate = `${formatBytes((bytes / (Date.now() - started)) * 1000)}/s`;
			say(
				total
					? `${formatBytes(bytes)} of ${formatBytes(total)} (${Math.round((bytes / total) * 100)} %, ${rate})`
					: `${formatBytes(bytes)} (${rate})`,
			);
		},
		note(text) {
			if (Date.now() - spoken >= LINE_EVERY_MS) say(text);
		},
		done(text) {
			if (!over) process.stderr.write(`${summary(title, started, text)}\n`);
			over = true;
		},
	};
}

function summary(title: string, started: number, text = 'done'): string {
	return `${title}: ${text} (${((Date.now() - started) / 1000).toFixed(1)} s)`;
}
