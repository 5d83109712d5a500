/** QEMU's machine protocol over one stream: JSON lines, commands answered in order of their ids, events in between. */
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { PathproofError } from './errors.ts';

interface Answer {
	id?: number;
	return?: unknown;
	error?: { class: string; desc: string };
	event?: string;
	data?: Record<string, unknown>;
}

/** Emits `event` (name, data) for what QEMU tells unasked: SHUTDOWN, STOP, GUEST_PANICKED, VSERPORT_CHANGE, … */
export class Qmp extends EventEmitter<{ event: [name: string, data: Record<string, unknown>]; close: [] }> {
	#stream: Duplex;
	#waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
	#ids = 0;
	#closed = false;

	constructor(stream: Duplex) {
		super();
		this.#stream = stream;
		stream.on('error', () => this.#close());
		stream.on('close', () => this.#close());
		const lines = createInterface({ input: stream });
		lines.on('line', (line) => this.#receive(JSON.parse(line)));
		lines.on('error', () => this.#close()); // readline passes the stream's errors on
	}

	/** Leaves negotiation mode: no command is taken before. */
	async ready(): Promise<void> {
		await this.execute('qmp_capabilities');
	}

	execute<T = unknown>(command: string, args: Record<string, unknown> = {}): Promise<T> {
		if (this.#closed) return Promise.reject(gone(command));
		const id = ++this.#ids;
		const { promise, resolve, reject } = Promise.withResolvers<unknown>();
		this.#waiting.set(id, { resolve, reject });
		this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
		return promise as Promise<T>;
	}

	/** Polls `query` until `done` says so: QEMU has no event for every change of state. */
	async until<T>(query: string, done: (status: T) => boolean, signal?: AbortSignal): Promise<T> {
		for (;;) {
			const status = await this.execute<T>(query);
			if (done(status)) return status;
			signal?.throwIfAborted();
			await new Promise((resolve) => setTimeout(resolve, 2));
		}
	}

	async event(name: string): Promise<Record<string, unknown>> {
		for (;;) {
			const [seen, data] = (await once(this, 'event')) as [string, Record<string, unknown>];
			if (seen === name) return data;
		}
	}

	#receive(answer: Answer): void {
		if (answer.event) this.emit('event', answer.event, answer.data ?? {});
		if (answer.id === undefined) return;
		const waiting = this.#waiting.get(answer.id);
		this.#waiting.delete(answer.id);
		if (answer.error) {
			waiting?.reject(new PathproofError(`QEMU refuses: ${answer.error.desc}`, { stage: 'snapshot' }));
		} else {
			waiting?.resolve(answer.return);
		}
	}

	#close(): void {
		if (this.#closed) return;
		this.#closed = true;
		for (const { reject } of this.#waiting.values()) reject(gone('a command'));
		this.#waiting.clear();
		this.emit('close');
	}
}

function gone(command: string): PathproofError {
	return new PathproofError(`QEMU ended before it answered ${command}`, { stage: 'lost' });
}
