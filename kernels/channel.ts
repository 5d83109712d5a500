/**
 * Calls over a stream of bytes, in both directions: birpc on msgpack, each message in a frame of its own. Shared by the host and
 * the guest's agent, so it imports no more than both have.
 *
 *     frame := length (u32, little endian) message (msgpack)
 *
 * Frames carry no state from one to the next: a fork's host is a new process that never saw what the template's host was sent.
 */
import type { Duplex } from 'node:stream';
import { createBirpc } from 'birpc';
import { Packr } from 'msgpackr/pack';
import { type ErrorDetails, PathproofError } from './errors.ts';

/** Milliseconds that a call may take where neither the channel nor the call says otherwise. */
export const CALL_TIMEOUT = 30_000;

const HEADER = 4;
/** Bytes. No message comes near it: a longer frame is garbage on the line. */
const LONGEST_FRAME = 512 * 2 ** 20;

export type Functions = Record<never, never>;

/** The other end's functions, each answering a promise. `asEvent` sends without waiting for an answer. */
export type RemoteFunctions<F> = {
	[K in keyof F as F[K] extends (...args: never[]) => unknown ? K : never]: F[K] extends (...args: infer A) => infer R
		? ((...args: A) => Promise<Awaited<R>>) & { asEvent(...args: A): Promise<void> }
		: never;
};

type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Answer<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;

export interface ChannelOptions {
	/** milliseconds for each call without a time of its own; Infinity waits for ever */
	timeout?: number;
}

export interface Channel<Remote> {
	readonly remote: RemoteFunctions<Remote>;
	/** `remote[name](...args)` with a time of its own, ms. */
	call<K extends keyof Remote & string>(
		name: K,
		args: Arguments<Remote[K]>,
		options?: ChannelOptions,
	): Promise<Answer<Remote[K]>>;
	/** Resolves when the stream has ended, whoever ended it. */
	readonly closed: Promise<void>;
	/** Reject every pending call with `reason` (a PathproofError of stage `lost` without) and end the stream. */
	close(reason?: Error): void;
}

/** One end of a conversation, before it is tied to a stream. */
export interface Peer<Remote> extends Pick<Channel<Remote>, 'remote' | 'call'> {
	/** Bytes from the other end, cut anywhere. */
	receive(chunk: Uint8Array): void;
	/** Forget half a frame: what follows comes from a new other end. */
	reset(): void;
	reject(reason: Error): void;
}

/**
 * Tie `local` to the functions at the other end of `duplex`. Calls made while the other end is not reading wait; they reject
 * with stage `lost` when the stream ends, with stage `call` when they take too long.
 */
export function openChannel<Remote extends Functions, Local extends Functions = Functions>(
	duplex: Duplex,
	local: Local,
	options: ChannelOptions = {},
): Channel<Remote> {
	const peer = createPeer<Remote, Local>(local, (frame) => write(duplex, frame), close, options);
	const { promise: closed, resolve } = Promise.withResolvers<void>();
	let reason: Error | undefined;
	function close(because?: Error) {
		reason ??= because;
		duplex.destroy();
	}
	duplex.on('data', peer.receive);
	duplex.on('error', (error) => {
		reason ??= lost(error);
	});
	duplex.on('end', () => duplex.destroy());
	duplex.on('close', () => {
		peer.reject(reason ?? lost());
		resolve();
	});
	return { remote: peer.remote, call: peer.call, closed, close };
}

/** `send` answers when the frame is on its way; `broken` is told of bytes that are no message. */
export function createPeer<Remote extends Functions, Local extends Functions = Functions>(
	local: Local,
	send: (frame: Buffer) => Promise<void> | void,
	broken: (error: Error) => void,
	{ timeout: channelTimeout = CALL_TIMEOUT }: ChannelOptions = {},
): Peer<Remote> {
	let receive: (message: Uint8Array) => Promise<void>;
	let gone: Error | undefined;
	const rpc = createBirpc<Record<string, (...args: unknown[]) => unknown>, Local, false>(local, {
		proxify: false,
		bind: 'functions',
		timeout: -1,
		post: send,
		on: (listener) => {
			receive = listener as typeof receive;
		},
		serialize: (message) => frameOf('e' in message ? { ...message, e: plainError(message.e) } : message),
		deserialize: (bytes) => {
			const message = packr.unpack(bytes);
			return 'e' in message ? { ...message, e: revivedError(message.e) } : message;
		},
		// An answer that cannot be packed becomes an error answer; one that cannot be sent is told by the stream's end.
		onGeneralError: (_error, answered) => answered !== undefined,
	});
	const frames = new Frames(
		(message) => void receive(message).catch(broken),
		(error) => broken(error),
	);

	async function call(name: string, args: unknown[], { timeout = channelTimeout }: ChannelOptions = {}) {
		if (gone) throw gone;
		const answer = rpc.$call(name, ...args);
		if (timeout === Number.POSITIVE_INFINITY) return answer;
		const { promise: late, reject } = Promise.withResolvers<never>();
		const timer = setTimeout(() => reject(tooLate(name, timeout)), timeout);
		try {
			return await Promise.race([answer, late]);
		} finally {
			clearTimeout(timer);
		}
	}

	const remote = new Proxy<Record<string, unknown>>(
		{},
		{
			get(known, name) {
				if (typeof name !== 'string' || name === 'then') return undefined;
				known[name] ??= Object.assign((...args: unknown[]) => call(name, args), {
					asEvent: (...args: unknown[]) => (gone ? Promise.reject(gone) : rpc.$callEvent(name, ...args)),
				});
				return known[name];
			},
		},
	);

	return {
		remote: remote as RemoteFunctions<Remote>,
		call: call as Peer<Remote>['call'],
		receive: (chunk) => frames.push(chunk),
		reset: () => frames.reset(),
		reject: (reason) => {
			gone ??= reason;
			rpc.$close(gone);
		},
	};
}

// Not records: a record's keys are sent once per stream, and the other end of a fork's stream is new.
const packr = new Packr({ useRecords: false });

function frameOf(message: unknown): Buffer {
	const body = packr.pack(message);
	const frame = Buffer.allocUnsafe(HEADER + body.length);
	frame.writeUInt32LE(body.length);
	frame.set(body, HEADER);
	return frame;
}

/** Cuts a stream of bytes into messages. Copies a byte at most once, however small the chunks. */
export class Frames {
	#header = Buffer.alloc(HEADER);
	#headerBytes = 0;
	#body: Buffer | undefined;
	#bodyBytes = 0;
	#message: (body: Buffer) => void;
	#garbage: (error: Error) => void;

	constructor(message: (body: Buffer) => void, garbage: (error: Error) => void) {
		this.#message = message;
		this.#garbage = garbage;
	}

	reset(): void {
		this.#headerBytes = 0;
		this.#body = undefined;
	}

	push(chunk: Uint8Array): void {
		let at = 0;
		while (at < chunk.length) {
			if (!this.#body) {
				const part = chunk.subarray(at, at + HEADER - this.#headerBytes);
				this.#header.set(part, this.#headerBytes);
				at += part.length;
				this.#headerBytes += part.length;
				if (this.#headerBytes < HEADER) return;
				const length = this.#header.readUInt32LE();
				if (length > LONGEST_FRAME) {
					this.reset();
					this.#garbage(new PathproofError(`a frame of ${length} bytes on the channel`, { stage: 'lost' }));
					return;
				}
				this.#headerBytes = 0;
				this.#body = Buffer.allocUnsafeSlow(length);
				this.#bodyBytes = 0;
			}
			const body = this.#body;
			const part = chunk.subarray(at, at + body.length - this.#bodyBytes);
			body.set(part, this.#bodyBytes);
			at += part.length;
			this.#bodyBytes += part.length;
			if (this.#bodyBytes < body.length) return;
			this.#body = undefined;
			this.#message(body);
		}
	}
}

function write(duplex: Duplex, frame: Buffer): Promise<void> | void {
	if (duplex.destroyed || duplex.write(frame)) return;
	return new Promise((resolve) => {
		const done = () => {
			duplex.off('drain', done);
			duplex.off('close', done);
			resolve();
		};
		duplex.on('drain', done);
		duplex.on('close', done);
	});
}

/** An error as it travels: an Error's own fields are not enumerable, and its class is not the other end's. */
interface PlainError {
	name: string;
	message: string;
	stack?: string;
	/** an errno's name, e.g. `ENOENT` */
	code?: string;
	/** of a PathproofError */
	details?: ErrorDetails & { shortMessage: string };
}

export function plainError(error: unknown): PlainError {
	if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
	const { name, message, stack } = error;
	const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
	// By name: a module of the payload brings its own copy of the class.
	const details = name === 'PathproofError' ? (error as PathproofError).toJSON() : undefined;
	return { name, message, stack, code, details };
}

export function revivedError({ name, message, stack, code, details }: PlainError): Error {
	if (details) {
		const error = PathproofError.fromJSON(details);
		if (stack) error.stack = stack;
		return error;
	}
	return Object.assign(new Error(message), { name, ...(stack && { stack }), ...(code && { code }) });
}

function lost(cause?: Error): PathproofError {
	return new PathproofError('the channel ended', { stage: 'lost', cause });
}

function tooLate(name: string, timeout: number): PathproofError {
	return new PathproofError(`no answer to ${name}() within ${timeout} ms`, { stage: 'call' });
}
