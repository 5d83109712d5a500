/** What is left open where containers share a netns: why network namespaces follow. Each is a test, so that it shows when it changes. */
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { ADDRESSES, type Call, HOST, type IdentityScene, identity, identityScene } from './scene.ts';

const { ipv6 } = ADDRESSES.web;
const bind = (address: string, port: number): Call => ({ call: 'bind', type: 'tcp', bind: [address, port] });
const error = async (scene: IdentityScene, name: string | null, call: Call) =>
	(await scene.calls(name, [call]))[0]!.error;

/** From the peer: whom the server takes it to be, or the error. */
async function fromPeer(scene: IdentityScene, to: string, port: number): Promise<string | undefined> {
	const [answer] = await scene.peerCalls([{ call: 'connect', type: 'tcp', to, port }]);
	return answer!.seen ?? answer!.error;
}

test("a service of the host's on the wildcard address blocks the port of every container, and the other way about", {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	await scene.net.addContainer(identity('web'));
	await using host = await scene.vm.spawn(['socat', '-dd', '-u', 'TCP6-LISTEN:8080', 'STDOUT']);
	await host.waitFor(/listening on/);
	expect(await error(scene, 'web', bind('::', 8080))).toBe('EADDRINUSE');
	await host.kill();
	await using _web = await scene.serve('web', '::', 8080);
	expect(await error(scene, null, bind('::', 8080))).toBe('EADDRINUSE');
	expect(await error(scene, null, bind(HOST.ipv6, 8080))).toBeUndefined();
});

test('what is bound to ::1 is within reach of the world, unless a program looks at each packet', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, calls, serve } = scene;
	const own: Call = { call: 'connect', type: 'tcp', to: '::1', port: 7 };
	await net.addContainer(identity('web'));
	const open = await serve('web', '::1', 7);
	expect(await fromPeer(scene, ipv6, 7)).toBe(PEER.ipv6);
	await open.kill();
	await net.removeContainer('web');

	await net.addContainer(identity('web', { privateLocalhost: true }));
	await using _closed = await serve('web', '::1', 7);
	await using _public = await serve('web', '::', 8);
	expect(await fromPeer(scene, ipv6, 7)).toBe('timed out');
	expect(await fromPeer(scene, ipv6, 8)).toBe(PEER.ipv6);
	expect((await calls('web', [own]))[0]!.seen).toBe('::1');
	expect((await net.showContainer('web')).identity!.counts.EXPOSED).toBeGreaterThan(0);
});

test('a service on the wildcard address is not at an address that is shared: that takes a second socket', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const vip = '2001:db8:0:2::80';
	await scene.vm.exec(['ip', 'addr', 'add', `${vip}/128`, 'dev', 'lo', 'nodad']);
	await scene.net.addContainer(identity('web', { shares: [{ address: vip, port: 80, protocol: 'tcp' }] }));
	await using _own = await scene.serve('web', '::', 80);
	expect(await fromPeer(scene, vip, 80)).toBe('ECONNREFUSED');
	expect(await error(scene, 'web', bind(vip, 80))).toBeUndefined();
});

test('of IPv4 a container without an IPv4 address has its own loopback, and its IPv6 services are not there', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, calls, serve } = scene;
	await net.addContainer(identity('web', {}, { ipv4: null }));
	await using _six = await serve('web', '::', 7);
	await using _four = await serve('web', '0.0.0.0', 8);
	const to = (address: string, port: number): Call => ({ call: 'connect', type: 'tcp', to: address, port });
	const made = await calls('web', [to('127.0.0.1', 8), to('127.0.0.1', 7), to(PEER.ipv4, 7), to(HOST.ipv4, 7)]);
	expect(made[0]!.seen).toMatch(/^127\.\d+\.\d+\.\d+$/);
	expect(made.slice(1).map(({ error }) => error)).toEqual(['ECONNREFUSED', 'EPERM', 'EPERM']);
});

test('a UDP socket that has sent before cannot connect: its port is bound to every address already', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, run } = scene;
	await net.addContainer(identity('web'));
	const script = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.sendto(b'', ('${PEER.ipv6}', 7))
try: s.connect(('${PEER.ipv6}', 7))
except OSError as error: print(error.errno)
s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
s.listen()
print(s.getsockname()[0])`;
	// EPERM; and whoever listens without a bind is at every address of the host, which no hook sees
	expect((await run('web', ['python3', '-c', script])).stdout).toBe('1\n::\n');
	expect((await net.showContainer('web')).identity!.counts).toMatchObject({ BOUND_BEFORE: 1, BINDS: 0 });
});

test("what a raw socket sends is from whichever address its program says, and the host's where it says none", {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, run, vm } = await identityScene(lab);
	await net.addContainer(identity('web', { raw: true }));
	await net.addContainer(identity('api'));
	const echoes = 'icmp6 and ip6[40] == 128';
	const capture = await vm.spawn(['tcpdump', '-n', '-l', '-i', 'eth0', '-Q', 'in', '--immediate-mode', echoes], {
		netns: 'peer',
	});
	await capture.waitFor(/listening on/);
	const ping = (name: string, ...from: string[]) =>
		run(name, ['ping', '-c1', '-W5', ...from.flatMap((one) => ['-I', one]), PEER.ipv6], { reject: false });
	for (const from of [[], [ipv6], [ADDRESSES.api.ipv6]]) expect((await ping('web', ...from)).code).toBe(0);
	expect((await ping('api')).stderr).toContain('Operation not permitted');
	await capture.kill('SIGINT');
	const { stdout } = await capture.ended;
	expect([...stdout.matchAll(/ IP6 (\S+) > /g)].map(([, source]) => source)).toEqual([
		HOST.ipv6,
		ipv6,
		ADDRESSES.api.ipv6,
	]);
});
