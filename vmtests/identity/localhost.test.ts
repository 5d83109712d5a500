/** What a container has at ::1 and 127.0.0.1: its own services, and nobody else's. */
import { expect, test } from 'pathproof';
import { type Call, identity, identityScene, table } from './scene.ts';

const PORT = 7;
const ALL: Call[] = ['::1', '127.0.0.1', '::ffff:127.0.0.1'].flatMap((to): Call[] => [
	{ call: 'connect', type: 'tcp', to, port: PORT },
	{ call: 'connect', type: 'udp', to, port: PORT },
	{ call: 'sendto', type: 'udp', to, port: PORT },
]);

test('a container reaches its own services at the loopback addresses, and each program sees what it asked for', async ({
	lab,
	requires,
}) => {
	await requires('modules');
	const { net, calls, serve } = await identityScene(lab);
	await net.addContainer(identity('web'));
	// IPv6 alone: its IPv4 is an address of the loopback network
	await net.addContainer(identity('api', {}, { ipv4: null }));
	const servers = [
		await serve('web', '::', PORT),
		await serve('web', '127.0.0.1', PORT),
		await serve('api', '::1', PORT),
		await serve('api', '127.0.0.1', PORT),
	];
	// seen by the server | getsockname | getpeername or recvmsg
	expect(table(ALL, await calls('web', ALL))).toEqual({
		'tcp connect to ::1': '2001:db8:0:2::10 | ::1 | ::1',
		'udp connect to ::1': '2001:db8:0:2::10 | ::1 | ::1',
		'udp sendto to ::1': '2001:db8:0:2::10 | :: | ::1',
		'tcp connect to 127.0.0.1': '127.0.0.1 | 127.0.0.1 | 127.0.0.1',
		'udp connect to 127.0.0.1': '127.0.0.1 | 127.0.0.1 | 127.0.0.1',
		'udp sendto to 127.0.0.1': '127.0.0.1 | 0.0.0.0 | 127.0.0.1',
		'tcp connect to ::ffff:127.0.0.1': '127.0.0.1 | ::ffff:127.0.0.1 | ::ffff:127.0.0.1',
		'udp connect to ::ffff:127.0.0.1': '127.0.0.1 | ::ffff:127.0.0.1 | ::ffff:127.0.0.1',
		'udp sendto to ::ffff:127.0.0.1': '127.0.0.1 | :: | ::ffff:127.0.0.1',
	});
	expect((await calls('api', ALL)).map(({ seen }) => seen)).toEqual([
		...Array(3).fill('::1'),
		...Array(6).fill('127.0.0.1'),
	]);
	await servers[2]!.kill();
	await servers[3]!.kill();
	// web still serves, and neither api nor the host finds anybody
	const connects = ALL.filter(({ call }) => call === 'connect');
	for (const name of ['api', null])
		expect((await calls(name, connects)).map(({ error }) => error)).toEqual(Array(6).fill('ECONNREFUSED'));
});
