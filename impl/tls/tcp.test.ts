import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { afterAll, expect, test, vi } from 'vitest';
import { Authority } from './authority.ts';
import { endOf, eventually, issueFiles, received, scene, server } from './scene.ts';

vi.setConfig({ testTimeout: 20_000 }); // on a machine with much else to do; alone, each is done in a second or two

const authority = new Authority();
const files = issueFiles(authority);
afterAll(() => authority[Symbol.dispose]());

test('a program and its server talk as if nothing were between them', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files);
	const program = await pair.connect(echo);
	program.end('hello');
	expect(String(await received(program))).toBe('hello');
	const flow = { container: 'web', protocol: 'tcp', destination: `[::1]:${echo.port}` };
	await eventually(() =>
		expect(pair.reports).toMatchObject([
			{ event: 'open', ...flow },
			{ event: 'close', ...flow },
		]),
	);
});

test('a program that has sent its FIN still gets all that its server sends after it', async () => {
	using counter = await server(async (socket) =>
		socket.end(`${(await received(socket)).length} bytes, and ${'x'.repeat(1e6)}`),
	);
	await using pair = await scene(files);
	const program = await pair.connect(counter);
	program.end(Buffer.alloc(300_000));
	expect(String(await received(program))).toBe(`300000 bytes, and ${'x'.repeat(1e6)}`);
});

test('a server that has sent its FIN still gets all that its client sends after it', async () => {
	const got = Promise.withResolvers<Buffer>();
	using early = await server((socket) => {
		socket.end('first');
		got.resolve(received(socket));
	});
	await using pair = await scene(files);
	const program = await pair.connect(early);
	expect(String(await received(program))).toBe('first');
	await sleep(50);
	program.end('last');
	expect(String(await got.promise)).toBe('last');
});

test('a reset of the program reaches its server as a reset', async () => {
	const seen = Promise.withResolvers<string>();
	using victim = await server((socket) => {
		seen.resolve(endOf(socket));
		socket.write('go');
	});
	await using pair = await scene(files);
	const program = await pair.connect(victim);
	await once(program, 'data');
	program.resetAndDestroy();
	expect(await seen.promise).toBe('ECONNRESET');
});

test('a reset of the server reaches the program as a reset', async () => {
	using rude = await server((socket) => socket.once('data', () => socket.resetAndDestroy()));
	await using pair = await scene(files);
	const program = await pair.connect(rude);
	program.write('go');
	expect(await endOf(program)).toBe('ECONNRESET');
});

test('a connection that the destination refuses is reset, and the refusal is told with its errno', async () => {
	await using pair = await scene(files);
	using gone = await server(() => undefined);
	gone[Symbol.dispose]();
	const program = await pair.connect(gone);
	expect(await endOf(program)).toBe('ECONNRESET');
	expect(pair.refused).toMatchObject([{ reason: 'connection_refused', code: 'ECONNREFUSED' }]);
	expect(pair.refused[0]!.shortMessage).toBe(`connect ECONNREFUSED ::1:${gone.port}`);
});

/** Listens, and accepts nothing: once its queue is full, the kernel answers no SYN. */
async function silentServer() {
	const worker = new Worker(
		`const { parentPort } = require('node:worker_threads');
		 const server = require('node:net').createServer().listen({ host: '::1', port: 0, backlog: 1 }, () => {
			parentPort.postMessage(server.address().port);
			setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
		 });`,
		{ eval: true },
	);
	const [port] = await once(worker, 'message');
	return {
		address: '::1',
		port: port as number,
		[Symbol.asyncDispose]: () => worker.terminate().then(() => undefined),
	};
}

test('a destination that does not answer is given up in time, and the time-out is told', async () => {
	await using silent = await silentServer();
	await using pair = await scene(files, { terminator: { connectMs: 300 } });
	const first = [await pair.connect(silent), await pair.connect(silent)]; // the queue takes backlog + 1
	await eventually(() => expect(pair.reports).toHaveLength(2));
	const program = await pair.connect(silent);
	expect(await endOf(program)).toBe('ECONNRESET');
	expect(pair.refused).toMatchObject([{ reason: 'connection_timeout', code: 'ETIMEDOUT' }]);
	for (const socket of first) socket.destroy();
});

test('a container reaches no prefix but those that are allowed, by no spelling of an address', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { terminator: { allow: ['::1/128'] } });
	const mapped = { address: '::ffff:127.0.0.1', port: echo.port };
	expect(await endOf(await pair.connect({ address: '127.0.0.1', port: echo.port }))).toBe('ECONNRESET');
	expect(await endOf(await pair.connect(mapped))).toBe('ECONNRESET');
	expect(pair.refused.map(({ reason, code }) => `${reason} ${code}`)).toEqual(
		Array(2).fill('destination_ip_prohibited EACCES'),
	);
	expect(pair.refused[1]!.shortMessage).toBe(`web may not reach 127.0.0.1:${echo.port}`);
	const program = await pair.connect(echo);
	program.end('allowed');
	expect(String(await received(program))).toBe('allowed');
});

test('100 MB each way at once arrive as they were sent', { timeout: 60_000 }, async () => {
	const block = randomBytes(1e6);
	const blocks = 100;
	async function send(socket: Socket): Promise<void> {
		for (let count = 0; count < blocks; count++) {
			const numbered = Buffer.from(block);
			numbered.writeUInt32BE(count);
			if (!socket.write(numbered)) await once(socket, 'drain');
		}
		socket.end();
	}
	async function checksum(socket: Socket): Promise<{ bytes: number; crc: number }> {
		const got = { bytes: 0, crc: 0 };
		socket.on('data', (chunk: Buffer) => {
			got.bytes += chunk.length;
			got.crc = crc32(chunk, got.crc);
		});
		await once(socket, 'end');
		return got;
	}
	const expected = { bytes: 100e6, crc: 0 };
	for (let count = 0; count < blocks; count++) {
		block.writeUInt32BE(count);
		expected.crc = crc32(block, expected.crc);
	}
	const uploaded = Promise.withResolvers<{ bytes: number; crc: number }>();
	using both = await server((socket) => {
		uploaded.resolve(checksum(socket));
		void send(socket);
	});
	await using pair = await scene(files);
	const program = await pair.connect(both);
	const [downloaded] = await Promise.all([checksum(program), send(program)]);
	expect(downloaded).toEqual(expected);
	expect(await uploaded.promise).toEqual(expected);
});

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** What buffers there are in this process, the proxies' and this test's. */
function heldBytes(): number {
	collectGarbage();
	return process.memoryUsage().arrayBuffers;
}

test('a server that does not read stops its client, the proxies hold little meanwhile, and no other flow waits', async () => {
	const MB = 1e6;
	const accepted: Socket[] = [];
	using lazy = await server((socket) => accepted.push(socket.pause()));
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files);
	const carried: Socket[] = [];
	pair.forward.server.on('connection', (socket) => carried.push(socket));
	const before = heldBytes();
	const program = await pair.connect(lazy);
	const same = Buffer.alloc(MB, 'x'); // what waits at the program itself is this one block, many times
	for (let count = 0; count < 30; count++) program.write(same);
	program.end();
	let taken = -1;
	await eventually(
		() => {
			const now = carried[0]!.bytesRead;
			const stopped = now === taken && accepted.length > 0;
			taken = now;
			expect(stopped).toBe(true);
		},
		{ interval: 150 },
	);

	// 4.5 MB here, all but a window of 256 KiB and what lies in Node's own buffers in the kernel's, behind the terminating proxy
	expect(taken).toBeLessThan(15 * MB);
	await eventually(() => expect(heldBytes() - before).toBeLessThan(4 * MB));
	const other = await pair.connect(echo);
	other.end('still here');
	expect(String(await received(other))).toBe('still here');
	expect(pair.forward.sessions.size).toBe(1);

	expect((await received(accepted[0]!)).length).toBe(30 * MB);
});

test('a connection without a byte for too long is reset at both ends', async () => {
	const seen = Promise.withResolvers<string>();
	using idle = await server((socket) => seen.resolve(endOf(socket)));
	await using pair = await scene(files, { terminator: { tcpIdleMs: 200 } });
	const program = await pair.connect(idle);
	expect(await endOf(program)).toBe('ECONNRESET');
	expect(await seen.promise).toBe('ECONNRESET');
});

test('bytes either way keep an otherwise idle connection', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { terminator: { tcpIdleMs: 1_000 }, forward: { tcpIdleMs: 1_000 } });
	const program = await pair.connect(echo);
	for (const word of ['one', 'two', 'three', 'four', 'five']) {
		program.write(word);
		expect(String(await once(program, 'data'))).toBe(word);
		await sleep(300);
	}
	program.end();
	expect((await received(program)).length).toBe(0);
});
