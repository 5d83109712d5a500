import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type ChannelOptions, Frames, openChannel } from './channel.ts';
import { PathproofError } from './errors.ts';

/** Both ends of a real Unix socket. */
async function socketPair(): Promise<[Socket, Socket]> {
	const path = join(tmpdir(), `pathproof-channel-${process.pid}-${Math.random().toString(36).slice(2)}`);
	const server = createServer().listen(path);
	await once(server, 'listening');
	const near = connect(path);
	const [far] = (await once(server, 'connection')) as [Socket];
	server.close();
	onTestFinished(() => {
		near.destroy();
		far.destroy();
	});
	return [near, far];
}

interface Far {
	add(a: number, b: number): number;
	echo(value: unknown): unknown;
	fail(message: string): void;
	failHere(): void;
	never(): Promise<void>;
	told(): string[];
	note(text: string): void;
}

async function conversation(options: ChannelOptions = {}) {
	const [near, far] = await socketPair();
	const notes: string[] = [];
	const functions: Far = {
		add: (a, b) => a + b,
		echo: (value) => value,
		fail: (message) => {
			throw Object.assign(new TypeError(message), { code: 'ENOENT' });
		},
		failHere: () => {
			throw new PathproofError('no such netns', { stage: 'call', hint: 'ip netns add web', kernel: '6.12.117' });
		},
		never: () => new Promise(() => {}),
		told: () => notes,
		note: (text) => void notes.push(text),
	};
	const other = openChannel<object, Far>(far, functions);
	const channel = openChannel<Far>(near, {}, options);
	return { channel, other, near, far };
}

describe('calls over a socket', () => {
	test('answer what the other end answers', async () => {
		const { channel } = await conversation();
		expect(await channel.remote.add(2, 3)).toBe(5);
	});

	test('carry bytes as bytes, and plain data as it is', async () => {
		const { channel } = await conversation();
		const value = { text: 'ä', list: [1, null, -2.5, 2 ** 40], nested: { yes: true }, nothing: undefined };
		expect(await channel.remote.echo(value)).toEqual(value);
		const bytes = (await channel.remote.echo(Buffer.from([0, 1, 255]))) as Buffer;
		expect(Buffer.isBuffer(bytes)).toBe(true);
		expect([...bytes]).toEqual([0, 1, 255]);
	});

	test('carry more than any buffer on the way holds, many at a time', async () => {
		const { channel } = await conversation();
		const blob = Buffer.alloc(5_000_000, 7);
		const answers = await Promise.all(Array.from({ length: 4 }, () => channel.remote.echo(blob)));
		expect(answers.every((answer) => blob.equals(answer as Buffer))).toBe(true);
	});

	test('tell an error with its name, code and stack', async () => {
		const { channel } = await conversation();
		const error = await channel.remote.fail('gone').catch((error: unknown) => error);
		expect(error).toMatchObject({ name: 'TypeError', message: 'gone', code: 'ENOENT' });
		expect((error as Error).stack).toContain('channel.test.ts');
	});

	test("tell a PathproofError as one, with the other end's stack", async () => {
		const { channel } = await conversation();
		const error = await channel.remote.failHere().catch((error: unknown) => error);
		expect(error).toBeInstanceOf(PathproofError);
		expect(error).toMatchObject({ stage: 'call', hint: 'ip netns add web', kernel: '6.12.117' });
		expect((error as Error).stack).toContain('failHere');
	});

	test('say what nobody answers to', async () => {
		const { channel } = await conversation();
		const remote = channel.remote as unknown as { nonsense(): Promise<void> };
		await expect(remote.nonsense()).rejects.toThrow('"nonsense" not found');
	});

	test('an event waits for no answer and arrives in order', async () => {
		const { channel } = await conversation();
		for (const text of ['one', 'two', 'three']) await channel.remote.note.asEvent(text);
		expect(await channel.remote.told()).toEqual(['one', 'two', 'three']);
	});
});

describe('a channel that is in trouble', () => {
	test('a call has its own time, and the channel goes on', async () => {
		const { channel } = await conversation();
		const late = channel.call('never', [], { timeout: 20 });
		await expect(late).rejects.toMatchObject({ stage: 'call', shortMessage: 'no answer to never() within 20 ms' });
		expect(await channel.remote.add(1, 1)).toBe(2);
	});

	test('the end of the stream rejects what is pending and what comes later, as lost', async () => {
		const { channel, far } = await conversation();
		const pending = channel.remote.never();
		far.destroy();
		await expect(pending).rejects.toMatchObject({ stage: 'lost' });
		await channel.closed;
		await expect(channel.remote.add(1, 1)).rejects.toMatchObject({ stage: 'lost' });
	});

	test('whoever closes it says why', async () => {
		const { channel } = await conversation();
		const pending = channel.remote.never();
		channel.close(new PathproofError('the guest panicked', { stage: 'panic' }));
		await expect(pending).rejects.toMatchObject({ stage: 'panic', shortMessage: 'the guest panicked' });
	});

	test('bytes that are no message end it', async () => {
		const { channel, far } = await conversation();
		const pending = channel.remote.never();
		far.write('Kernel panic - not syncing');
		await expect(pending).rejects.toThrow(/a frame of \d+ bytes/);
	});
});

describe('frames', () => {
	const frame = (text: string) => {
		const bytes = Buffer.from(`\0\0\0\0${text}`);
		bytes.writeUInt32LE(text.length);
		return bytes;
	};
	const reader = () => {
		const messages: string[] = [];
		const frames = new Frames(
			(body) => messages.push(body.toString()),
			(error) => messages.push(String(error)),
		);
		return { messages, frames };
	};

	test('come out whole however the bytes are cut', () => {
		const bytes = Buffer.concat([frame('hello'), frame('you'), frame('there')]);
		for (let size = 1; size <= bytes.length; size++) {
			const { messages, frames } = reader();
			for (let at = 0; at < bytes.length; at += size) frames.push(bytes.subarray(at, at + size));
			expect(messages).toEqual(['hello', 'you', 'there']);
		}
	});

	test('half a frame of the one before does not confuse the one after', () => {
		const { messages, frames } = reader();
		frames.push(frame('hello').subarray(0, 6));
		frames.reset();
		frames.push(frame('you'));
		expect(messages).toEqual(['you']);
	});
});
