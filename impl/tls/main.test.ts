import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test, vi } from 'vitest';
import { Authority } from './authority.ts';
import { eventually, freePort, issueFiles, received, server } from './scene.ts';

vi.setConfig({ testTimeout: 60_000 }); // on a machine with much else to do; alone, a process starts in half a second

const authority = new Authority();
const files = issueFiles(authority);
afterAll(() => authority[Symbol.dispose]());

const children: ChildProcess[] = [];
afterAll(() => {
	for (const child of children) child.kill();
});

async function start(name: string, config: object) {
	const path = join(authority.folder, `${name}.json`);
	writeFileSync(path, JSON.stringify(config));
	const child = spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url)), path], {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: { ...process.env, NODE_NO_WARNINGS: '1' },
	});
	children.push(child);
	const lines: string[] = [];
	const output = createInterface(child.stdout).on('line', (line) => lines.push(line));
	let errors = '';
	child.stderr.on('data', (bytes) => {
		errors += bytes;
	});
	await Promise.race([once(output, 'line'), once(child, 'exit')]);
	return { child, lines, errors: () => errors };
}

test('both ends run as processes, carry TCP and UDP, read their certificates again at SIGHUP and end at SIGTERM', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	const datagrams = createSocket('udp6');
	datagrams.on('message', (payload, { address, port }) => datagrams.send(payload, port, address)).bind(0, '::1');
	await once(datagrams, 'listening');
	const [port, tcp, udp] = [await freePort(), await freePort(), await freePort()];
	const [terminator, forward] = await Promise.all([
		start('terminator', {
			role: 'terminate',
			listen: `[::1]:${port}`,
			certificates: files.terminator,
			allow: ['::1/128'],
		}),
		start('forward', {
			role: 'forward',
			terminator: { host: '::1', port },
			certificates: files.web,
			ways: [
				{ protocol: 'tcp', listen: `[::1]:${tcp}`, to: `[::1]:${echo.port}` },
				{ protocol: 'udp', listen: `[::1]:${udp}`, to: `[::1]:${datagrams.address().port}` },
			],
		}),
	]);
	expect([terminator.lines, forward.lines]).toEqual([
		['{"event":"ready","role":"terminate"}'],
		['{"event":"ready","role":"forward"}'],
	]);

	const program = connect({ host: '::1', port: tcp, allowHalfOpen: true });
	program.end('over TCP');
	expect(String(await received(program))).toBe('over TCP');
	const socket = createSocket('udp6');
	socket.send('over UDP', udp, '::1');
	expect(String((await once(socket, 'message'))[0])).toBe('over UDP');
	socket.close();
	datagrams.close();

	forward.child.kill('SIGHUP');
	await eventually(() => expect(forward.lines).toContain('{"event":"reloaded"}'));
	const ended = [once(forward.child, 'exit'), once(terminator.child, 'exit')];
	forward.child.kill();
	terminator.child.kill();
	expect(await Promise.all(ended)).toEqual([
		[0, null],
		[0, null],
	]);
	expect(terminator.lines[1]).toBe(
		`{"event":"open","container":"web","protocol":"tcp","destination":"[::1]:${echo.port}","refusal":null}`,
	);
	expect(forward.errors() + terminator.errors()).toBe('');
});

test('a configuration that is wrong is refused with what is wrong in it', async () => {
	const { child, errors } = await start('wrong', {
		role: 'terminate',
		listen: '[::1]:1',
		certificates: files.web,
		allowed: [],
	});
	if (child.exitCode === null) await once(child, 'exit');
	expect(child.exitCode).toBe(2);
	expect(errors()).toContain('Unrecognized key: "allowed"');
	expect(errors()).toContain('try: node impl/tls/main.ts FILE');
});
