/** A container's programs, as root, try to be somebody else. Each attack succeeds in no container, and ends as it is written here in one. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { ADDRESSES, type Call, HOST, type IdentityScene, identity, identityScene } from './scene.ts';

const { web, api } = ADDRESSES;
const VIP = '2001:db8:0:2::80';
const PORT = 7;
const TO_PEER: Call = { call: 'connect', type: 'tcp', to: PEER.ipv6, port: PORT };

async function attack({ vm, within }: IdentityScene, name: string | null): Promise<Record<string, string>> {
	const argv = ['python3', '/run/attacks.py', PEER.ipv6, PEER.ipv4, String(PORT), api.ipv6, HOST.ipv6, HOST.ipv4, VIP];
	const { stdout } = await vm.exec(name === null ? argv : within(name, argv), { timeout: 90_000 });
	return JSON.parse(stdout) as Record<string, string>;
}

test('a program in a container is nobody else, whatever it asks of the kernel', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, vm, serve, start, has } = scene;
	const mptcp = has('mptcp');
	const script = readFileSync(new URL('../../fixtures/identity/attacks.py', import.meta.url));
	await vm.writeFile('/run/attacks.py', script);
	await vm.exec(['ip', 'addr', 'add', `${VIP}/128`, 'dev', 'lo', 'nodad']);
	await using _peer = await serve(null, '::', PORT);
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api', { shares: [{ address: VIP, port: 80, protocol: 'tcp' }] }));
	for (const address of [api.ipv6, VIP]) {
		const server = await start('api', ['socat', '-dd', '-u', `TCP6-LISTEN:80,bind=[${address}],reuseport`, 'STDOUT']);
		await server.waitFor(/listening on/);
	}
	expect(await attack(scene, null)).toEqual({
		"bind another's address": 'bound',
		"bind the host's IPv6 address": 'bound',
		"bind the host's IPv4 address": 'bound',
		"bind the host's IPv4 address, mapped": 'bound',
		IPV6_FREEBIND: 'bound',
		IP_FREEBIND: 'bound',
		IPV6_TRANSPARENT: 'bound',
		IP_TRANSPARENT: 'bound',
		"SO_REUSEPORT beside another's server": 'bound',
		'SO_REUSEPORT at a shared address': 'bound',
		SO_BINDTODEVICE: HOST.ipv6,
		'a sticky IPV6_PKTINFO': HOST.ipv6,
		'an IPv4 address given to an IPv6 socket': `::ffff:${HOST.ipv4}`,
		'an IPv4-mapped connection': `::ffff:${HOST.ipv4}`,
		'connected, disconnected and connected': HOST.ipv6,
		'TCP Fast Open': HOST.ipv6,
		'a raw socket of ICMPv6': 'made',
		'a raw socket with headers of its own': 'sent',
		MPTCP: mptcp ? HOST.ipv6 : 'EPROTONOSUPPORT',
		'a packet socket': 'sent',
	});
	expect(await attack(scene, 'web')).toEqual({
		"bind another's address": 'EPERM',
		"bind the host's IPv6 address": 'EPERM',
		"bind the host's IPv4 address": 'EPERM',
		"bind the host's IPv4 address, mapped": 'EPERM',
		IPV6_FREEBIND: 'EPERM',
		IP_FREEBIND: 'EPERM',
		IPV6_TRANSPARENT: 'EPERM',
		IP_TRANSPARENT: 'EPERM',
		"SO_REUSEPORT beside another's server": 'EPERM',
		'SO_REUSEPORT at a shared address': 'EPERM',
		SO_BINDTODEVICE: web.ipv6,
		'a sticky IPV6_PKTINFO': web.ipv6,
		'an IPv4 address given to an IPv6 socket': 'EPERM',
		'an IPv4-mapped connection': `::ffff:${web.ipv4}`,
		'connected, disconnected and connected': web.ipv6,
		'TCP Fast Open': web.ipv6,
		'a raw socket of ICMPv6': 'EPERM',
		'a raw socket with headers of its own': 'EPERM',
		MPTCP: mptcp ? 'EPERM' : 'EPROTONOSUPPORT',
		// no IP socket, and no hook sees it: what keeps a container from it is the capability, CAP_NET_RAW of the host's netns
		'a packet socket': 'sent',
	});
});

/** Passes an unconnected TCP socket that this process makes to the one that it starts in a cgroup; that connects it. */
const PASS = `
import os, socket, sys
maker, user, to = sys.argv[1:]
enter = lambda path: open(path + '/cgroup.procs', 'w').write(str(os.getpid()))
here, there = socket.socketpair(socket.AF_UNIX)
if os.fork() == 0:
    enter(user)
    one = socket.socket(fileno=socket.recv_fds(there, 1, 1)[1][0])
    one.connect((to, ${PORT}))
    print(one.recv(2048).decode().split()[0], flush=True)
    os._exit(0)
enter(maker)
made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
socket.send_fds(here, [b'!'], [made.fileno()])
os.wait()`;

test('a socket is of the cgroup that it was made in, wherever it is passed to and whoever moves', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, vm, serve, calls } = await identityScene(lab);
	await using _peer = await serve(null, '::', PORT);
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api'));
	await vm.exec(['mkdir', '/sys/fs/cgroup/nobody']);
	const path = {
		web: '/sys/fs/cgroup/pathproof/web',
		api: '/sys/fs/cgroup/pathproof/api',
		host: '/sys/fs/cgroup/nobody',
	};
	const pass = async (maker: string, user: string) =>
		(await vm.exec(['python3', '-c', PASS, maker, user, PEER.ipv6])).stdout.trim();
	expect(await pass(path.web, path.api)).toBe(web.ipv6);
	expect(await pass(path.web, path.host)).toBe(web.ipv6);
	// who is given a socket of the host's is the host for as long as they have it
	expect(await pass(path.host, path.web)).toBe(HOST.ipv6);
	// who may write cgroup.procs may move; a user may not
	const asUser = ['setpriv', '--reuid', '1000', '--clear-groups', 'sh', '-c', `echo $$ >${path.host}/cgroup.procs`];
	expect((await vm.exec(asUser, { reject: false })).stderr).toContain('Permission denied');
	expect((await calls('web', [TO_PEER]))[0]!.seen).toBe(web.ipv6);
});

test('a socket that was made before its cgroup was a container is the container’s from its next call on', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, vm, within, serve } = await identityScene(lab);
	await using _peer = await serve(null, '::', PORT);
	await vm.exec(['mkdir', '/sys/fs/cgroup/unit']);
	const script = `
import socket, sys
unbound, bound, connected = (socket.socket(socket.AF_INET6, socket.SOCK_STREAM) for _ in range(3))
bound.bind(('${HOST.ipv6}', 0))
connected.connect(('${PEER.ipv6}', ${PORT}))
print('ready', flush=True)
sys.stdin.readline()
for one in unbound, bound:
    try: one.connect(('${PEER.ipv6}', ${PORT})); print(one.recv(99).decode().split()[0])
    except OSError as error: print(error.errno)
print(connected.recv(99).decode().split()[0])
print('done', flush=True)
sys.stdin.readline()`;
	await using old = await vm.spawn(within('/sys/fs/cgroup/unit', ['python3', '-c', script]), { keepInput: true });
	await old.waitFor(/^ready/, 30_000);
	await net.addContainer(identity('web', { cgroup: '/sys/fs/cgroup/unit' }));
	await old.write('go on\n');
	await old.waitFor(/^done/, 30_000);
	await old.endInput();
	// what is connected already stays as it is
	expect((await old.ended).stdout).toBe(`ready\n${web.ipv6}\n1\n${HOST.ipv6}\ndone\n`);
});
