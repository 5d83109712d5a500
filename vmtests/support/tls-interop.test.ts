/**
 * Ends that nobody here wrote. nghttpx (Debian: nghttp2-proxy) is a proxy on HTTP/2 of its own, and stands in for either end of ours:
 *
 *     curl ── HTTP/1.1 CONNECT ──▶ nghttpx ══ HTTP/2 over TLS ══▶ our terminating proxy ──▶ destination
 *     program ──▶ our forward proxy ══ HTTP/2 over TLS ══▶ nghttpx ── HTTP/1.1 CONNECT ──▶ tinyproxy ──▶ destination
 *
 * It knows no CONNECT-UDP.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { Authority } from '../../impl/tls/authority.ts';
import { endOf, eventually, freePort, issueFiles, scene, server } from '../../impl/tls/scene.ts';
import { debianPrograms } from './debian-programs.ts';

vi.setConfig({ testTimeout: 60_000 });

const authority = new Authority();
const files = issueFiles(authority);
afterAll(() => authority[Symbol.dispose]());

const children: ChildProcess[] = [];
afterEach(async () => {
	for (const child of children.splice(0)) {
		const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
		child.kill('SIGKILL');
		await ended;
	}
});

const programs = await debianPrograms('nghttp2-proxy', 'tinyproxy-bin', 'curl');

/** Until it takes connections on `port`. */
async function start(path: string, words: string[], port: number): Promise<void> {
	const [program, ...before] = programs(path);
	const child = spawn(program, [...before, ...words], { stdio: 'ignore' });
	children.push(child);
	await eventually(async () => {
		const probe = connect(port, '::1');
		await once(probe, 'connect');
		probe.destroy();
	});
}

test('curl reaches a server by CONNECT of a stranger over our terminating proxy', async () => {
	using web = await server((socket) => {
		socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'));
	});
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	const front = await freePort();
	await start(
		'/usr/sbin/nghttpx',
		[
			...['--conf=/dev/null', '--workers=1', '--http2-proxy', `--frontend=::1,${front};no-tls`],
			...[`--backend=::1,${port};;proto=h2;tls;sni=terminator.example`, `--cacert=${authority.certificate}`],
			...[`--client-cert-file=${files.web.certificate}`, `--client-private-key-file=${files.web.key}`],
			...['--tls-max-proto-version=TLSv1.3'],
		],
		front,
	);
	const [curl, ...before] = programs('/usr/bin/curl');
	const words = ['-sS', '--max-time', '20', '-p', '-x', `http://[::1]:${front}`, `http://[::1]:${web.port}/`];
	expect((await execa(curl, [...before, ...words])).stdout).toBe('hello');
	expect(pair.reports[0]).toMatchObject({ event: 'open', container: 'web', destination: `[::1]:${web.port}` });
});

test('our forward proxy carries a program over a terminating proxy of a stranger, and hears its refusal', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	const [front, behind] = [await freePort(), await freePort()];
	const config = join(authority.folder, 'tinyproxy.conf');
	writeFileSync(config, `Port ${behind}\nListen ::1\nTimeout 60\nMaxClients 10\nConnectPort ${echo.port}\n`);
	await start('/usr/bin/tinyproxy', ['-d', '-c', config], behind);
	await start(
		'/usr/sbin/nghttpx',
		[
			...['--conf=/dev/null', '--workers=1', '--http2-proxy', `--frontend=::1,${front}`, `--backend=::1,${behind}`],
			...['--verify-client', `--verify-client-cacert=${authority.certificate}`, '--tls-max-proto-version=TLSv1.3'],
			...[files.terminator.key, files.terminator.certificate],
		],
		front,
	);
	await using pair = await scene(files, { forward: { terminator: { host: '::1', port: front } } });
	const program = await pair.connect(echo);
	let got = 0;
	program.on('data', (chunk: Buffer) => {
		got += chunk.length;
	});
	program.write(Buffer.alloc(1e6, 'x'));
	await eventually(() => expect(got).toBe(1e6)); // tinyproxy knows no half-close: the end of the program's stream would be the end of all
	program.destroy();
	expect(await endOf(await pair.connect({ address: '::1', port: 9 }))).toBe('ECONNRESET');
	expect(pair.refused).toMatchObject([{ reason: 'destination_ip_prohibited', code: 'EACCES' }]);
	expect(pair.refused[0]!.shortMessage).toBe('the terminator answered 403');
});
