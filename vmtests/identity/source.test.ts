/**
 * Which address the peer sees, which is also captured on its wire, and which the program sees: by getsockname, and by getpeername or
 * recvmsg. The calls are made by python3, of which nobody here wrote a line but the list.
 */
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { ADDRESSES, type Call, HOST, identity, identityScene, table } from './scene.ts';

const PORT = 7;
const { ipv6, ipv4 } = ADDRESSES.web;

const rows = (to: string, any: string, own: string): Call[] => [
	{ call: 'connect', type: 'tcp', to, port: PORT },
	{ call: 'connect', type: 'tcp', to, port: PORT, bind: [any, 0] },
	{ call: 'connect', type: 'tcp', to, port: PORT, bind: [own, 4000] },
	{ call: 'connect', type: 'udp', to, port: PORT },
	{ call: 'connect', type: 'udp', to, port: PORT, bind: [any, 4001] },
	{ call: 'sendto', type: 'udp', to, port: PORT },
	{ call: 'sendto', type: 'udp', to, port: PORT, bind: [any, 4002] },
	{ call: 'sendto', type: 'udp', to, port: PORT, source: own },
	{ call: 'sendto', type: 'udp', to, port: PORT, source: any },
];
const CALLS = [...rows(PEER.ipv6, '::', ipv6), ...rows(PEER.ipv4, '0.0.0.0', ipv4)];

test('all that a container sends is from its own address, however its program asks', async ({ lab, requires }) => {
	await requires('modules');
	const { net, calls, serve, sourcesOnWire } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await using _six = await serve(null, '::', PORT);
	let made: Awaited<ReturnType<typeof calls>> = [];
	const sources = await sourcesOnWire(async () => {
		made = await calls('web', CALLS);
	});
	// seen by the peer | getsockname | getpeername or recvmsg
	expect(table(CALLS, made)).toEqual({
		'tcp connect to 2001:db8:0:1::2': '2001:db8:0:2::10 | 2001:db8:0:2::10 | 2001:db8:0:1::2',
		'tcp connect to 2001:db8:0:1::2 bound to :: 0': '2001:db8:0:2::10 | 2001:db8:0:2::10 | 2001:db8:0:1::2',
		'tcp connect to 2001:db8:0:1::2 bound to 2001:db8:0:2::10 4000':
			'2001:db8:0:2::10 | 2001:db8:0:2::10 | 2001:db8:0:1::2',
		'udp connect to 2001:db8:0:1::2': '2001:db8:0:2::10 | 2001:db8:0:2::10 | 2001:db8:0:1::2',
		'udp connect to 2001:db8:0:1::2 bound to :: 4001': '2001:db8:0:2::10 | 2001:db8:0:2::10 | 2001:db8:0:1::2',
		'udp sendto to 2001:db8:0:1::2': '2001:db8:0:2::10 | :: | 2001:db8:0:1::2',
		'udp sendto to 2001:db8:0:1::2 bound to :: 4002': '2001:db8:0:2::10 | :: | 2001:db8:0:1::2',
		'udp sendto to 2001:db8:0:1::2 from 2001:db8:0:2::10': '2001:db8:0:2::10 | :: | 2001:db8:0:1::2',
		'udp sendto to 2001:db8:0:1::2 from ::': '2001:db8:0:2::10 | :: | 2001:db8:0:1::2',
		'tcp connect to 192.0.2.2': '::ffff:198.51.100.10 | 198.51.100.10 | 192.0.2.2',
		'tcp connect to 192.0.2.2 bound to 0.0.0.0 0': '::ffff:198.51.100.10 | 198.51.100.10 | 192.0.2.2',
		'tcp connect to 192.0.2.2 bound to 198.51.100.10 4000': '::ffff:198.51.100.10 | 198.51.100.10 | 192.0.2.2',
		'udp connect to 192.0.2.2': '::ffff:198.51.100.10 | 198.51.100.10 | 192.0.2.2',
		'udp connect to 192.0.2.2 bound to 0.0.0.0 4001': '::ffff:198.51.100.10 | 198.51.100.10 | 192.0.2.2',
		'udp sendto to 192.0.2.2': '::ffff:198.51.100.10 | 0.0.0.0 | 192.0.2.2',
		'udp sendto to 192.0.2.2 bound to 0.0.0.0 4002': '::ffff:198.51.100.10 | 0.0.0.0 | 192.0.2.2',
		'udp sendto to 192.0.2.2 from 198.51.100.10': '::ffff:198.51.100.10 | 0.0.0.0 | 192.0.2.2',
		'udp sendto to 192.0.2.2 from 0.0.0.0': '::ffff:198.51.100.10 | 0.0.0.0 | 192.0.2.2',
	});
	expect(sources).toEqual([ipv4, ipv6]);
});

test('a process of the host beside it is what it was', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('modules');
	const { net, calls, serve, sourcesOnWire } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await using _six = await serve(null, '::', PORT);
	const own = CALLS.filter(({ bind, source }) => !bind && !source);
	let made: Awaited<ReturnType<typeof calls>> = [];
	const sources = await sourcesOnWire(async () => {
		made = await calls(null, own);
	});
	expect(made.map(({ seen }) => seen)).toEqual([...Array(3).fill(HOST.ipv6), ...Array(3).fill(`::ffff:${HOST.ipv4}`)]);
	expect(sources).toEqual([HOST.ipv4, HOST.ipv6]);
});

test('a container can send from no address that is not its own', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('modules');
	const { net, calls, serve } = await identityScene(lab);
	await using _six = await serve(null, '::', PORT);
	const foreign: Call[] = [
		{ call: 'sendto', type: 'udp', to: PEER.ipv6, port: PORT, source: HOST.ipv6 },
		{ call: 'sendto', type: 'udp', to: PEER.ipv4, port: PORT, source: HOST.ipv4 },
		{ call: 'connect', type: 'tcp', to: PEER.ipv6, port: PORT, bind: [HOST.ipv6, 0] },
		{ call: 'connect', type: 'udp', to: PEER.ipv4, port: PORT, bind: [HOST.ipv4, 0] },
	];
	// without a container around it each of them does
	expect((await calls(null, foreign)).map(({ seen }) => seen)).toEqual([
		HOST.ipv6,
		`::ffff:${HOST.ipv4}`,
		HOST.ipv6,
		`::ffff:${HOST.ipv4}`,
	]);
	await net.addContainer(identity('web'));
	expect((await calls('web', foreign)).map(({ error }) => error)).toEqual(Array(4).fill('EPERM'));
	const { identity: seen } = await net.showContainer('web');
	expect(seen!.counts).toMatchObject({ FOREIGN_ADDRESS: 4, SOCKETS: 4, RELEASED: 4, CONNECTS: 0, DATAGRAMS: 0 });
});

test('a port is chosen when it is known where to: two connections to two servers may leave by one port', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, calls, serve, within, vm } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await using _echo = await serve(null, '::', PORT, PORT + 1);
	await vm.exec(['sysctl', '-w', 'net.ipv4.ip_local_port_range=40000 40000']);
	const [one, other] = [PORT, PORT + 1].map((port): Call => ({ call: 'connect', type: 'tcp', to: PEER.ipv6, port }));
	// each is closed by the server, and its port is in TIME_WAIT there
	expect((await calls('web', [one!, other!])).map(({ seen }) => seen)).toEqual([ipv6, ipv6]);
	// what binds to a port of the kernel's choice before it says where to has none left the second time
	const early = { ...one!, bind: [ipv6, 0] as [string, number] };
	await using held = await vm.spawn(within('web', ['socat', '-dd', '-u', `TCP6-LISTEN:0,bind=[${ipv6}]`, 'STDOUT']));
	await held.waitFor(/listening on/);
	expect((await calls('web', [early]))[0]!.error).toBe('EADDRINUSE');
});
