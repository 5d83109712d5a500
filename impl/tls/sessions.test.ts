import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, expect, test, vi } from 'vitest';
import { Authority } from './authority.ts';
import { readCertificates } from './certificates.ts';
import { endOf, eventually, issueFiles, listen, scene, server } from './scene.ts';
import { TerminatingProxy } from './terminator.ts';

vi.setConfig({ testTimeout: 20_000 }); // on a machine with much else to do; alone, each is done in a second or two

const authority = new Authority();
const files = issueFiles(authority);
afterAll(() => authority[Symbol.dispose]());

async function say(program: Socket, word: string): Promise<string> {
	program.write(word);
	return String((await once(program, 'data'))[0]);
}

test('flows share a session, and another is opened where the terminating proxy takes no more of them', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { terminator: { maxStreams: 2 } });
	const programs: Socket[] = [];
	for (const sessions of [1, 1, 2, 2, 3]) {
		const program = await pair.connect(echo);
		programs.push(program);
		expect(await say(program, `flow ${programs.length}`)).toBe(`flow ${programs.length}`);
		expect(pair.forward.sessions.size).toBe(sessions);
	}
});

test('where all sessions are full a flow waits for its turn, and fails closed when none comes in time', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, {
		terminator: { maxStreams: 1 },
		forward: { maxSessions: 1, patienceMs: 1_500 },
	});
	const first = await pair.connect(echo);
	expect(await say(first, 'first')).toBe('first');
	const second = await pair.connect(echo);
	const answer = say(second, 'second');
	first.end();
	expect(await answer).toBe('second');
	expect(await endOf(await pair.connect(echo))).toBe('ECONNRESET');
	expect(pair.refused).toMatchObject([{ reason: 'destination_unavailable', code: 'ENETDOWN' }]);
	expect(pair.refused[0]!.shortMessage).toBe('no session within 1500 ms: all 1 of 1 sessions are full');
});

test('a container has no more flows than it may have, over all of its sessions', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { terminator: { maxStreams: 2, maxFlows: 3 } });
	for (const word of ['one', 'two', 'three']) expect(await say(await pair.connect(echo), word)).toBe(word);
	expect(await endOf(await pair.connect(echo))).toBe('ECONNRESET');
	expect(pair.refused[0]).toMatchObject({
		reason: 'connection_limit_reached',
		shortMessage: 'web has 3 flows already',
	});
});

test('when the terminating proxy dies its flows are reset; new ones wait, and go on once it is back', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { forward: { patienceMs: 4_000 } });
	const program = await pair.connect(echo);
	expect(await say(program, 'before')).toBe('before');
	const { port } = pair.terminator.server.address() as AddressInfo;
	const ended = endOf(program);
	pair.terminator.close();
	expect(await ended).toBe('ECONNRESET');

	const next = await pair.connect(echo);
	const answer = say(next, 'after');
	await eventually(() => expect(pair.forward.sessions.size).toBe(0));
	const back = new TerminatingProxy({ certificates: files.terminator, allow: ['::1/128'] });
	back.server.listen(port, '::1');
	expect(await answer).toBe('after');
	back.close();
});

test('while the terminating proxy is away a flow fails closed in a bounded time, and says why', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { forward: { patienceMs: 700 } });
	const { port } = pair.terminator.server.address() as AddressInfo;
	pair.terminator.close();
	const began = Date.now();
	expect(await endOf(await pair.connect(echo))).toBe('ECONNRESET');
	expect(Date.now() - began).toBeGreaterThanOrEqual(690);
	expect(echo.sockets.size).toBe(0);
	expect(pair.refused[0]!.shortMessage).toBe(
		`no session within 700 ms: there is no session with the terminating proxy [::1]:${port}: connect ECONNREFUSED ::1:${port}`,
	);
});

test('a terminating proxy that has vanished without a word is noticed by its silence', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	let silent = false;
	const wire = createServer((near) => {
		const far = connect(port, '::1');
		near.on('data', (bytes) => silent || far.write(bytes)).on('error', () => undefined);
		far.on('data', (bytes) => silent || near.write(bytes)).on('error', () => undefined);
		near.on('close', () => far.destroy());
	});
	const { port: between } = await listen(wire);
	await using beyond = await scene(files, {
		forward: { terminator: { host: '::1', port: between }, keepAliveMs: 300 },
	});
	const program = await beyond.connect(echo);
	expect(await say(program, 'hello')).toBe('hello');
	silent = true;
	expect(await endOf(program)).toBe('ECONNRESET');
	wire.close();
});

test('a client whose programs reset thousands of connections keeps its session', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files, { terminator: { allow: [] } });
	const { port } = pair.terminator.server.address() as AddressInfo;
	const session = connectHttp2(`https://[::1]:${port}`, readCertificates(files.web));
	await once(session, 'remoteSettings');
	const request = { ':method': 'CONNECT', ':authority': `[::1]:${echo.port}` };
	for (let round = 0; round < 15; round++) {
		const streams = Array.from({ length: 100 }, () => session.request(request, { endStream: false }));
		for (const stream of streams) stream.close(8); // CANCEL
		await Promise.all(streams.map((stream) => once(stream, 'close')));
	}
	const [headers] = await once(session.request(request), 'response');
	expect(headers[':status']).toBe(502);
	session.destroy();
});

test('a forward proxy that is closed resets what it carries and what is waiting', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	await using pair = await scene(files);
	const program = await pair.connect(echo);
	expect(await say(program, 'hello')).toBe('hello');
	const ended = [endOf(program), endOf([...echo.sockets][0]!)];
	pair.forward.close();
	expect(await Promise.all(ended)).toEqual(['ECONNRESET', 'ECONNRESET']);
	await expect(pair.forward.sessions.request({ ':method': 'CONNECT' })).rejects.toThrow('this forward proxy is closed');
});
