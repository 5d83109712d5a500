import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, expect, test, vi } from 'vitest';
import { Authority, containerCertificate, replaceFiles, terminatorCertificate } from './authority.ts';
import { type CertificateFiles, readCertificates } from './certificates.ts';
import { dial } from './dial.ts';
import { endOf, eventually, issueFiles, scene, server } from './scene.ts';

vi.setConfig({ testTimeout: 20_000 }); // on a machine with much else to do; alone, each is done in a second or two

const authority = new Authority();
const stranger = new Authority();
const files = issueFiles(authority);
afterAll(() => {
	authority[Symbol.dispose]();
	stranger[Symbol.dispose]();
});

const PAST = { from: '20200101000000Z', until: '20200201000000Z' };
const FUTURE = { from: '20900101000000Z', until: '20900201000000Z' };

async function say(program: Socket, word: string): Promise<string> {
	program.write(word);
	return String((await once(program, 'data'))[0]);
}

/** Why no session comes about; says so where one does. */
async function refusal(own: CertificateFiles, port: number, serverName = '::1'): Promise<string> {
	try {
		const session = await dial({ host: '::1', port, serverName }, readCertificates(own), {
			dialMs: 4_000,
			keepAliveMs: 4_000,
		});
		session.destroy();
		return 'it was taken';
	} catch (error) {
		return (error as Error).message;
	}
}

test('a client whose certificate is not good is refused, and told what is wrong with it', async () => {
	const web = containerCertificate('web');
	const revoked = authority.issue(web);
	authority.revoke(revoked);
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	const own = { ...stranger.issue(web), authority: authority.certificate, revoked: authority.revoked };
	const cases: [CertificateFiles, string][] = [
		[
			authority.issue({ ...web, ...PAST }),
			'CERT_HAS_EXPIRED: URI:spiffe://pathproof/container/web, valid to Feb  1 00:00:00 2020 GMT',
		],
		[authority.issue({ ...web, ...FUTURE }), 'CERT_NOT_YET_VALID: URI:spiffe://pathproof/container/web'],
		[own, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
		[revoked, 'CERT_REVOKED: URI:spiffe://pathproof/container/web'],
		[authority.issue({ ...web, usage: 'serverAuth' }), 'INVALID_PURPOSE'],
		[authority.issue({ names: 'DNS:web' }), 'the certificate names no container of pathproof: DNS:web'],
	];
	for (const [certificates, why] of cases)
		expect(await refusal(certificates, port)).toContain(
			`the terminating proxy [::1]:${port} refused the certificate of this end: ${why}`,
		);
	expect(await refusal(files.web, port)).toBe('it was taken');
	expect(pair.reports.map(({ event, container }) => `${event} ${container}`)).toEqual(Array(6).fill('refused null'));
});

test('a client without a certificate has no session', async () => {
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	const { cert: _cert, key: _key, ...without } = readCertificates(files.web);
	await expect(dial({ host: '::1', port }, without, { dialMs: 4_000, keepAliveMs: 4_000 })).rejects.toThrow(
		'refused the certificate of this end: it has sent no certificate',
	);
});

test('a terminating proxy whose certificate is not good gets no flow, and the error says what is wrong with it', async () => {
	const revoked = authority.issue(terminatorCertificate);
	authority.revoke(revoked);
	const own = {
		...stranger.issue(terminatorCertificate),
		authority: authority.certificate,
		revoked: authority.revoked,
	};
	const cases: [CertificateFiles, string][] = [
		[authority.issue({ ...terminatorCertificate, ...PAST }), 'CERT_HAS_EXPIRED'],
		[own, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
		[revoked, 'CERT_REVOKED'],
		[authority.issue({ ...terminatorCertificate, usage: 'clientAuth' }), 'INVALID_PURPOSE'],
		[authority.issue({ ...terminatorCertificate, names: 'DNS:other.example' }), 'ERR_TLS_CERT_ALTNAME_INVALID'],
		[authority.issue(containerCertificate('db')), 'INVALID_PURPOSE'], // no container can pose as one
	];
	for (const [certificates, why] of cases) {
		await using pair = await scene({ ...files, terminator: certificates });
		const { port } = pair.terminator.server.address() as AddressInfo;
		expect(await refusal(files.web, port)).toContain(
			`the certificate of the terminating proxy [::1]:${port} is refused: ${why}`,
		);
	}
});

test('a terminating proxy is known by its name where one is asked for', async () => {
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	expect(await refusal(files.web, port, 'terminator.example')).toBe('it was taken');
	expect(await refusal(files.web, port, 'other.example')).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a new certificate of the container is used for new flows, and those that are open go on', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	const own = authority.issue(containerCertificate('web'));
	await using pair = await scene({ ...files, web: own });
	const old = await pair.connect(echo);
	expect(await say(old, 'old')).toBe('old');
	replaceFiles(own, authority.issue(containerCertificate('renamed')));
	pair.forward.reload();
	const fresh = await pair.connect(echo);
	expect(await say(fresh, 'fresh')).toBe('fresh');
	expect(await say(old, 'still')).toBe('still');
	expect(pair.reports.map(({ container }) => container)).toEqual(['web', 'renamed']);
	expect(pair.forward.sessions.size).toBe(2);
	old.end();
	await eventually(() => expect(pair.forward.sessions.size).toBe(1));
	expect(await say(fresh, 'on')).toBe('on');
});

test('a new certificate of the terminating proxy is used for new sessions, and flows that are open go on', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	const own = authority.issue(terminatorCertificate);
	await using pair = await scene({ ...files, terminator: own });
	const { port } = pair.terminator.server.address() as AddressInfo;
	const serial = async () => {
		const socket = connectTls({ ...readCertificates(files.web), host: '::1', port, ALPNProtocols: ['h2'] });
		await once(socket, 'secureConnect');
		const { serialNumber } = socket.getPeerCertificate();
		socket.destroy();
		return serialNumber;
	};
	const old = await pair.connect(echo);
	expect(await say(old, 'old')).toBe('old');
	const before = await serial();
	replaceFiles(own, authority.issue(terminatorCertificate));
	pair.terminator.reload();
	expect(await serial()).not.toBe(before);
	const fresh = await pair.connect(echo);
	expect(await say(fresh, 'fresh')).toBe('fresh');
	expect(await say(old, 'still')).toBe('still');
	await eventually(() => expect(pair.forward.sessions.size).toBe(2));
});

test('a container whose certificate is revoked begins no further flow, once the list is read again', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	const own = authority.issue(containerCertificate('web'));
	await using pair = await scene({ ...files, web: own }, { forward: { patienceMs: 3_000 } });
	const old = await pair.connect(echo);
	expect(await say(old, 'before')).toBe('before');
	authority.revoke(own);
	pair.terminator.reload();
	expect(await endOf(await pair.connect(echo))).toBe('ECONNRESET');
	expect(pair.refused[0]!.shortMessage).toContain('refused the certificate of this end: CERT_REVOKED');
	expect(await say(old, 'after')).toBe('after');
});

test('files that do not belong together are refused as they are read, and what was read before stays in use', async () => {
	using echo = await server((socket) => socket.pipe(socket));
	const own = authority.issue(containerCertificate('web'));
	const other = authority.issue(containerCertificate('web'));
	await using pair = await scene({ ...files, web: own });
	replaceFiles(own, { ...other, key: own.key });
	expect(() => pair.forward.reload()).toThrow(
		`the key in ${own.key} is not that of the certificate in ${own.certificate}\ntry: write both before they are read again`,
	);
	expect(await say(await pair.connect(echo), 'as before')).toBe('as before');
	expect(() => readCertificates({ ...own, key: '/nowhere' })).toThrow(
		"the key cannot be read: ENOENT: no such file or directory, open '/nowhere'",
	);
	expect(() => readCertificates({ ...own, certificate: own.key })).toThrow(`the certificate in ${own.key} is none`);
	expect(() => readCertificates({ ...files.web, revoked: own.key })).toThrow(
		`the list of revoked certificates in ${own.key} is none`,
	);
});

test('no session is spoken below TLS 1.3, and none is taken up again without a certificate', async () => {
	await using pair = await scene(files);
	const { port } = pair.terminator.server.address() as AddressInfo;
	const open = async (more: object): Promise<TLSSocket> => {
		const socket = connectTls({ ...readCertificates(files.web), host: '::1', port, ALPNProtocols: ['h2'], ...more });
		await once(socket, 'secureConnect');
		return socket;
	};
	await expect(open({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })).rejects.toThrow('protocol version');
	const first = await open({});
	expect([first.getProtocol(), first.alpnProtocol]).toEqual(['TLSv1.3', 'h2']);
	const ticket = await Promise.race([
		once(first, 'session').then(([session]) => session),
		once(first, 'data').then(() => null),
	]);
	const again = await open(ticket ? { session: ticket } : {});
	expect(again.isSessionReused()).toBe(false);
	for (const socket of [first, again]) socket.destroy();
});
