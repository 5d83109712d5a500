import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test, vi } from 'vitest';
import { Authority } from './authority.ts';
import { encodeDatagram } from './capsules.ts';
import { readCertificates } from './certificates.ts';
import { udpPath } from './endpoints.ts';
import { eventually, issueFiles, scene } from './scene.ts';

vi.setConfig({ testTimeout: 20_000 }); // on a machine with much else to do; alone, each is done in a second or two

const authority = new Authority();
const files = issueFiles(authority);
afterAll(() => authority[Symbol.dispose]());

const source = { address: '2001:db8:0:2::10', port: 4000 };

/** A UDP server that does this with each datagram. */
async function server(serve: (socket: Socket, payload: Buffer, from: RemoteInfo) => void, address = '::1') {
	const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
	socket.on('message', (payload, from) => serve(socket, payload, from));
	socket.bind(0, address);
	await once(socket, 'listening');
	const { port } = socket.address();
	return { address, port, socket, [Symbol.dispose]: () => socket.close() };
}

const echo = (address?: string) =>
	server((socket, payload, { address, port }) => socket.send(payload, port, address), address);

test('one socket sends to 200 destinations: each gets its own, and each answer is of the one that gave it', async () => {
	const servers = await Promise.all(
		Array.from({ length: 200 }, (_, number) =>
			server((socket, payload, { address, port }) => socket.send(`${number} got ${payload}`, port, address)),
		),
	);
	await using pair = await scene(files);
	for (const [number, { address, port }] of servers.entries())
		pair.forward.udp.send(source, { address, port }, Buffer.from(`for ${number}`));
	await eventually(() => expect(pair.answers).toHaveLength(200));
	for (const [number, { port }] of servers.entries()) {
		const answer = pair.answers.find(({ destination }) => destination.port === port);
		expect(answer).toEqual({
			source,
			destination: { address: '::1', port },
			payload: Buffer.from(`${number} got for ${number}`),
		});
	}
	expect(pair.forward.udp.size).toBe(200);
	for (const one of servers) one[Symbol.dispose]();
});

test('datagrams of every size keep their bounds and their order: empty ones, and the largest that IPv4 has', async () => {
	using six = await echo();
	using four = await echo('127.0.0.1');
	await using pair = await scene(files);
	const sizes = [0, 1, 1_200, 0, 9_000, 65_507, 3];
	for (const { address, port } of [six, four])
		for (const [number, size] of sizes.entries())
			pair.forward.udp.send(source, { address, port }, Buffer.alloc(size, number));
	await eventually(() => expect(pair.answers).toHaveLength(14));
	for (const { port } of [six, four]) {
		const got = pair.answers.filter(({ destination }) => destination.port === port).map(({ payload }) => payload);
		expect(got.map(({ length }) => length)).toEqual(sizes);
		expect(got.every((payload, number) => payload.every((byte) => byte === number))).toBe(true);
	}
});

test('the largest datagram that IPv6 has passes, and one too long for IPv4 is lost without its flow', async () => {
	using six = await echo();
	using four = await echo('127.0.0.1');
	await using pair = await scene(files);
	for (const { address, port } of [six, four]) pair.forward.udp.send(source, { address, port }, Buffer.alloc(65_527));
	pair.forward.udp.send(source, { address: '127.0.0.1', port: four.port }, Buffer.from('next'));
	await eventually(() => expect(pair.answers).toHaveLength(2));
	expect(pair.answers.map(({ destination, payload }) => `${destination.address} ${payload.length}`).sort()).toEqual([
		'127.0.0.1 4',
		'::1 65527',
	]);
});

test('a port that nobody listens on is told as unreachable, as ICMP would have done, and is tried again', async () => {
	const { address, port, ...gone } = await echo();
	gone[Symbol.dispose]();
	await using pair = await scene(files);
	const destination = { address, port };
	for (const times of [1, 2]) {
		pair.forward.udp.send(source, destination, Buffer.from('anyone?'));
		await eventually(() => expect(pair.unreachable).toHaveLength(times));
		expect(pair.unreachable.at(-1)).toMatchObject({
			source,
			destination,
			refusal: { reason: 'connection_refused', code: 'ECONNREFUSED' },
		});
	}
	expect(pair.forward.udp.size).toBe(0);
});

test('a destination that is not allowed is told as unreachable', async () => {
	using four = await echo('127.0.0.1');
	await using pair = await scene(files, { terminator: { allow: ['::1/128'] } });
	pair.forward.udp.send(source, { address: '127.0.0.1', port: four.port }, Buffer.from('hi'));
	await eventually(() => expect(pair.unreachable).toHaveLength(1));
	expect(pair.unreachable[0]!.refusal).toMatchObject({
		code: 'EACCES',
		shortMessage: `web may not reach 127.0.0.1:${four.port}`,
	});
});

test('an answer from another address than was asked is not handed to the program', async () => {
	using other = await server(() => undefined);
	using asked = await server((socket, payload, { address, port }) => {
		other.socket.send('forged', port, address, () => socket.send(payload, port, address));
	});
	await using pair = await scene(files);
	pair.forward.udp.send(source, { address: '::1', port: asked.port }, Buffer.from('genuine'));
	await eventually(() => expect(pair.answers).toHaveLength(1));
	expect(pair.answers.map(({ payload }) => String(payload))).toEqual(['genuine']);
});

test('beyond the bound the flow that has been quiet for longest is given up, at both proxies', async () => {
	const servers = await Promise.all([echo(), echo(), echo(), echo()]);
	await using pair = await scene(files, { forward: { udp: { maxFlows: 3 } } });
	const say = async (number: number) => {
		const before = pair.answers.length;
		pair.forward.udp.send(source, { address: '::1', port: servers[number]!.port }, Buffer.from('hi'));
		await eventually(() => expect(pair.answers).toHaveLength(before + 1));
	};
	for (const number of [0, 1, 2, 0, 3]) await say(number);
	expect(pair.forward.udp.size).toBe(3);
	const closed = () => pair.reports.filter(({ event }) => event === 'close').map(({ destination }) => destination);
	await eventually(() => expect(closed()).toEqual([`[::1]:${servers[1]!.port}`]));
	for (const one of servers) one[Symbol.dispose]();
});

test('a flow is given up once it is quiet for too long, and begins anew with its next datagram', async () => {
	using one = await echo();
	await using pair = await scene(files, { forward: { udp: { idleMs: 800 } } });
	const destination = { address: '::1', port: one.port };
	pair.forward.udp.send(source, destination, Buffer.from('first'));
	await eventually(() => expect(pair.answers).toHaveLength(1));
	await eventually(() => expect(pair.reports.map(({ event }) => event)).toEqual(['open', 'close']));
	expect(pair.forward.udp.size).toBe(0);
	pair.forward.udp.send(source, destination, Buffer.from('second'));
	await eventually(() => expect(pair.answers).toHaveLength(2));
});

test('the terminating proxy gives up a quiet flow by itself', async () => {
	using one = await echo();
	await using pair = await scene(files, { terminator: { udpIdleMs: 500 } });
	pair.forward.udp.send(source, { address: '::1', port: one.port }, Buffer.from('first'));
	await eventually(() => expect(pair.reports.map(({ event }) => event)).toEqual(['open', 'close']));
	expect(pair.forward.udp.size).toBe(0);
	expect(pair.unreachable).toEqual([]);
});

test('while a flow has nowhere to go its datagrams wait, as many as a socket holds, and the others are counted', async () => {
	using one = await echo();
	await using pair = await scene(files);
	one.socket.setRecvBufferSize(212_992); // which the kernel doubles, for what it adds to each
	for (let count = 0; count < 15; count++)
		pair.forward.udp.send(source, { address: '::1', port: one.port }, Buffer.alloc(20_000, count));
	expect(pair.forward.udp.dropped).toBe(5); // 10 of 20,000 bytes are what 212,992 hold
	await eventually(() => expect(pair.answers).toHaveLength(10));
	expect(pair.answers.map(({ payload }) => payload[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

/** A stranger's client, without any of the forward proxy's code. */
async function withClient(port: number, act: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
	const session = connect(`https://[::1]:${port}`, readCertificates(files.web));
	await once(session, 'remoteSettings');
	await act(session);
	session.destroy();
}

test('a stream that is no sequence of capsules is reset, and ends the flow', async () => {
	using one = await echo();
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	await withClient(port, async (session) => {
		for (const wrong of [Buffer.from('0080020000', 'hex'), encodeDatagram(Buffer.from('cut short')).subarray(0, 5)]) {
			const stream = session.request(
				{
					':method': 'CONNECT',
					':protocol': 'connect-udp',
					':scheme': 'https',
					':authority': `[::1]:${port}`,
					':path': udpPath({ address: '::1', port: one.port }),
				},
				{ endStream: false },
			);
			const reset = once(stream, 'error');
			const [headers] = await once(stream, 'response');
			expect(headers).toMatchObject({ ':status': 200, 'capsule-protocol': '?1' });
			stream.end(wrong);
			expect(String(await reset)).toContain('NGHTTP2_PROTOCOL_ERROR');
		}
	});
	await eventually(() => expect(pair.reports.map(({ event }) => event)).toEqual(['open', 'close', 'open', 'close']));
});

test('a request for anything but CONNECT and CONNECT-UDP is refused with the reason', async () => {
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	const template = { ':scheme': 'https', ':authority': 'x' };
	await withClient(port, async (session) => {
		const answers = [];
		for (const headers of [
			{ ...template, ':method': 'GET', ':path': '/' },
			{ ':method': 'CONNECT', ':authority': 'example.com:443' },
			{ ...template, ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/' },
		]) {
			const [answer] = await once(session.request(headers, { endStream: true }), 'response');
			answers.push(`${answer[':status']} ${answer['proxy-status']}`);
		}
		expect(answers).toEqual([
			'400 pathproof; error=http_request_error; details="GET is neither CONNECT nor connect-udp"',
			'400 pathproof; error=http_request_error; details="example.com:443 is no destination"',
			'400 pathproof; error=http_request_error; details="websocket is neither CONNECT nor connect-udp"',
		]);
	});
});
