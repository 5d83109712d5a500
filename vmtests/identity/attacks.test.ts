/** A container's programs, as root, try to be somebody else. Each attack succeeds in no container, and ends as it is written here in one. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'pathproof';
import type { FeatureName } from '../../kernels/features.ts';
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
	// on a kernel without it nobody has it: the same word in and out of a container
	const onlyWith = (feature: FeatureName, refusal: string, outcome: string) => (has(feature) ? outcome : refusal);
	for (const name of ['attacks.py', 'ring.py'])
		await vm.writeFile(`/run/${name}`, readFileSync(new URL(`../../fixtures/identity/${name}`, import.meta.url)));
	await vm.exec(['ip', 'addr', 'add', `${VIP}/128`, 'dev', 'lo', 'nodad']);
	await vm.exec(['sysctl', '-w', 'net.ipv4.ping_group_range=0 0']);
	await using _peer = await serve(null, '::', PORT, 'sctp');
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
		'SO_BINDTODEVICE and a datagram': HOST.ipv6,
		"a datagram from another's address": api.ipv6,
		"a datagram from another's address, IPV6_TRANSPARENT": api.ipv6,
		"a connected socket's datagram from the host's IPv6 address": HOST.ipv6,
		"a connected socket's datagram from the host's IPv4 address": `::ffff:${HOST.ipv4}`,
		'a sticky IPV6_PKTINFO': HOST.ipv6,
		'an IPv4 address given to an IPv6 socket': `::ffff:${HOST.ipv4}`,
		'an IPv4-mapped connection': `::ffff:${HOST.ipv4}`,
		'an IPv4-mapped datagram': `::ffff:${HOST.ipv4}`,
		"an IPv4-mapped datagram from the host's address": `::ffff:${HOST.ipv4}`,
		'connected, disconnected and connected': HOST.ipv6,
		'connected to 127.0.0.1, disconnected, and answered by the peer': PEER.ipv4,
		'listen() at a port of its choice': expect.stringMatching(/^(50051|ENOPROTOOPT)$/),
		'TCP Fast Open': HOST.ipv6,
		"a ping socket, bound to another's address": 'bound',
		'a raw socket of ICMPv6': 'made',
		'a raw socket with headers of its own': 'sent',
		MPTCP: onlyWith('mptcp', 'EPROTONOSUPPORT', HOST.ipv6),
		SCTP: onlyWith('sctp', 'EPROTONOSUPPORT', HOST.ipv6),
		'SCTP, one socket to many': onlyWith('sctp', 'ESOCKTNOSUPPORT', 'made'),
		'io_uring: connect': onlyWith('io-uring', 'ENOSYS', HOST.ipv6),
		"io_uring: bind the host's IPv6 address": onlyWith('io-uring-bind', 'EINVAL', 'bound'),
		"io_uring: sendmsg from the host's IPv6 address": onlyWith('io-uring', 'ENOSYS', HOST.ipv6),
		"io_uring: a socket made by the kernel's own thread": onlyWith('io-uring-socket', 'EINVAL', HOST.ipv6),
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
		'SO_BINDTODEVICE and a datagram': web.ipv6,
		"a datagram from another's address": 'EPERM',
		"a datagram from another's address, IPV6_TRANSPARENT": 'EPERM',
		"a connected socket's datagram from the host's IPv6 address": 'EPERM',
		"a connected socket's datagram from the host's IPv4 address": 'EPERM',
		'a sticky IPV6_PKTINFO': web.ipv6,
		'an IPv4 address given to an IPv6 socket': 'EPERM',
		'an IPv4-mapped connection': `::ffff:${web.ipv4}`,
		'an IPv4-mapped datagram': `::ffff:${web.ipv4}`,
		"an IPv4-mapped datagram from the host's address": 'EPERM',
		'connected, disconnected and connected': web.ipv6,
		'connected to 127.0.0.1, disconnected, and answered by the peer': PEER.ipv4,
		'listen() at a port of its choice': 'EPERM',
		'TCP Fast Open': web.ipv6,
		"a ping socket, bound to another's address": 'EPERM',
		'a raw socket of ICMPv6': 'EPERM',
		'a raw socket with headers of its own': 'EPERM',
		MPTCP: onlyWith('mptcp', 'EPROTONOSUPPORT', 'EPERM'),
		SCTP: onlyWith('sctp', 'EPROTONOSUPPORT', 'EPERM'),
		'SCTP, one socket to many': onlyWith('sctp', 'ESOCKTNOSUPPORT', 'EPERM'),
		'io_uring: connect': onlyWith('io-uring', 'ENOSYS', web.ipv6),
		"io_uring: bind the host's IPv6 address": onlyWith('io-uring-bind', 'EINVAL', 'EPERM'),
		"io_uring: sendmsg from the host's IPv6 address": onlyWith('io-uring', 'ENOSYS', 'EPERM'),
		"io_uring: a socket made by the kernel's own thread": onlyWith('io-uring-socket', 'EINVAL', web.ipv6),
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
	const { net, vm, serve } = await identityScene(lab);
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
});

test('who may write the cgroup.procs of another cgroup leaves a container: no user may, and no root within a cgroup namespace', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, vm, serve, within } = await identityScene(lab);
	await using _peer = await serve(null, '::', PORT);
	await net.addContainer(identity('web'));
	await vm.exec(['mkdir', '/sys/fs/cgroup/nobody']);
	// as systemd mounts it: a namespace is then a border for who moves tasks
	await vm.exec(['mount', '-o', 'remount,nsdelegate', '/sys/fs/cgroup']);
	// tee says what the kernel says; a shell's echo calls each an I/O error
	const move = 'echo $$ | tee /sys/fs/cgroup/nobody/cgroup.procs >/dev/null; exec python3 /run/calls.py';
	const moved = async (...before: string[]) => {
		const { stdout, stderr } = await vm.exec(within('web', [...before, 'sh', '-c', move]), {
			input: JSON.stringify([TO_PEER]),
			timeout: 60_000,
		});
		return [/: ([^:]+)$/.exec(stderr.trim())?.[1], JSON.parse(stdout)[0].seen];
	};
	expect(await moved()).toEqual([undefined, HOST.ipv6]);
	expect(await moved('setpriv', '--reuid', '1000', '--clear-groups')).toEqual(['Permission denied', web.ipv6]);
	expect(await moved('unshare', '--cgroup')).toEqual(['No such file or directory', web.ipv6]);
});

test('a socket that was made before its cgroup was a container is the container’s from its next call on', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, vm, within, serve, has } = await identityScene(lab);
	const mptcp = has('mptcp');
	await using _peer = await serve(null, '::', PORT);
	await vm.exec(['mkdir', '/sys/fs/cgroup/unit']);
	await vm.writeFile('/run/before.py', readFileSync(new URL('../../fixtures/identity/before.py', import.meta.url)));
	const outcomes = async (meanwhile: () => Promise<unknown>) => {
		const argv = ['python3', '/run/before.py', PEER.ipv6, PEER.ipv4, String(PORT), HOST.ipv6];
		await using old = await vm.spawn(within('/sys/fs/cgroup/unit', argv), { keepInput: true });
		await old.waitFor(/^ready/, 30_000);
		await meanwhile();
		await old.write('go on\n');
		return JSON.parse(await old.waitFor(/^\{/, 30_000)) as Record<string, string>;
	};
	// what is connected or listens already stays as it is
	const stays = {
		'TCP, connected': HOST.ipv6,
		'TCP, listening': `listens at ${HOST.ipv6}`,
		'UDP, connected': HOST.ipv6,
		// no hook sees what it sends
		raw: 'sent',
	};
	expect(await outcomes(async () => {})).toEqual({
		...stays,
		TCP: HOST.ipv6,
		"TCP, bound to the host's address": HOST.ipv6,
		UDP: HOST.ipv6,
		'UDP, to send without a connection': HOST.ipv6,
		'UDP, after a datagram': HOST.ipv6,
		MPTCP: mptcp ? HOST.ipv6 : 'EPROTONOSUPPORT',
		"MPTCP, to bind to the host's address": mptcp ? 'bound' : 'EPROTONOSUPPORT',
	});
	expect(await outcomes(() => net.addContainer(identity('web', { cgroup: '/sys/fs/cgroup/unit' })))).toEqual({
		...stays,
		TCP: web.ipv6,
		"TCP, bound to the host's address": 'EPERM',
		UDP: web.ipv6,
		'UDP, to send without a connection': web.ipv6,
		'UDP, after a datagram': 'EPERM',
		MPTCP: mptcp ? web.ipv6 : 'EPROTONOSUPPORT',
		"MPTCP, to bind to the host's address": mptcp ? 'EPERM' : 'EPROTONOSUPPORT',
	});
});
