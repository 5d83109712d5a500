/**
 * Short connections through a service, by the ten thousand. In the exact profile the one CPU of the guest runs at one instruction a
 * nanosecond: a second is the guest's own, and holds a thousand million instructions for client, servers, kernel and programs together.
 */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { answers, failures, Hello } from './hello.ts';
import { rowCounter } from './rows.ts';
import { type IdentityScene, identity, identityScene } from './scene.ts';

const SERVICE = '2001:db8:0:2::99';
const PORT = 8080;
const CLIENT = { ...identity('web'), name: 'client', ipv6: '2001:db8:0:2::30', ipv4: null };

function backend(number: number, drained = false) {
	const serves = [{ address: SERVICE, port: 80, protocol: 'tcp' as const, to: PORT, sticky: false }];
	const ipv6 = `2001:db8:0:2::${50 + number}`;
	return { ...identity('web', { serves, drained }), name: `b${number}`, ipv6, ipv4: null };
}

/** Connections of the client's that have ended, and wait lest something late is taken for another's. */
async function timeWaits({ vm }: IdentityScene): Promise<number> {
	const { stdout } = await vm.exec(['ss', '-Htn', 'state', 'time-wait', 'src', `[${CLIENT.ipv6}]`], {
		timeout: 120_000,
	});
	return stdout.split('\n').filter(Boolean).length;
}

async function fewPorts({ vm }: IdentityScene, first: number, last: number): Promise<void> {
	// How many are in TIME_WAIT at most, which this little memory would make fewer. And on a busy machine a segment is sent twice: whoever
	// has no such connection any more answers with RST, by which the other end would end its TIME_WAIT (RFC 1337).
	await vm.exec([
		'sysctl',
		'-w',
		`net.ipv4.ip_local_port_range=${first} ${last}`,
		'net.ipv4.tcp_max_tw_buckets=100000',
		'net.ipv4.tcp_rfc1337=1',
	]);
}

const COUNT = 20_000;
const RATE = 2_000;

test('2,000 connections a second for ten seconds, while a backend comes and goes: none refused, misdelivered or left behind', {
	tags: [FULL],
	timeout: 3_600_000,
}, async ({ lab, requires, annotate }) => {
	await requires('modules');
	const scene = await identityScene((request) => lab({ ...request, profile: 'exact' }));
	const { net } = scene;
	const hello = await Hello.in(scene);
	await net.addContainer(CLIENT);
	const counted = await rowCounter(scene);
	for (const number of [1, 2, 3]) {
		await net.addContainer(backend(number));
		await hello.serve(`b${number}`, PORT);
	}
	// whom no one may reach by the service
	await net.addContainer(identity('api'));
	await hello.serve('api', PORT);
	// fewer than there are connections, all of them from one address
	await fewPorts(scene, 40_000, 57_999);
	const before = await counted();
	// of each server a listener and a socket for datagrams
	expect(before).toMatchObject({ sockets: 8, answers: 0, services: 1, identities: 5 });

	const client = await hello.keepAsking('client', {
		how: 'ask',
		rate: RATE,
		count: COUNT,
		port: 80,
		targets: [SERVICE],
	});
	await net.addContainer(backend(4, true));
	const server = await hello.serve('b4', PORT);
	await net.drainContainer('b4', false);
	await net.drainContainer('b4', true);
	const tally = await client.ended();
	await server.kill('SIGTERM');
	await server.ended;
	await net.removeContainer('b4');

	const seconds = tally.nanoseconds / 1e9;
	const said = `${COUNT} connections in ${seconds.toFixed(2)} s of the guest, the longest ${(tally.longest / 1e6).toFixed(1)} ms`;
	await annotate(said);
	if (process.env.PATHPROOF_SHOW) console.log(said, answers(tally));
	expect(failures(tally)).toEqual({});
	expect(tally.misdelivered).toBe(0);
	expect(Object.keys(answers(tally)).sort()).toEqual(['b1', 'b2', 'b3', 'b4']);
	expect(Object.values(answers(tally)).reduce((sum, one) => sum + one)).toBe(COUNT);
	// the last was asked when it was due
	expect(seconds).toBeGreaterThan(9.99);
	expect(seconds).toBeLessThan(10.1);
	expect(await timeWaits(scene)).toBe(COUNT);
	expect((await net.showContainer('client')).identity!.counts).toMatchObject({
		SOCKETS: COUNT,
		RELEASED: COUNT,
		CONNECTS: COUNT,
		SERVED: COUNT,
		FLOWS_OUT: COUNT,
		ADDRESS_GONE: 0,
	});
	expect(await counted()).toEqual(before);
});

/** Takes a port before it says where to, until there is none. */
const EARLY = `
import errno, socket
made = 0
try:
    while True:
        one = socket.socket(socket.AF_INET6)
        one.bind(('::', 0))
        one.connect(('${SERVICE}', 80))
        one.send(b'hello')
        assert one.recv(99).endswith(b'hello')
        one.close()
        made += 1
except OSError as error: print(made, errno.errorcode[error.errno])`;

test('the ports of an address are as many for each backend of a service, unless a program takes its own first', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, run } = scene;
	const hello = await Hello.in(scene);
	await net.addContainer(CLIENT);
	await net.addContainer(identity('web'));
	for (const number of [1, 2]) {
		await net.addContainer(backend(number));
		await hello.serve(`b${number}`, PORT);
	}
	await fewPorts(scene, 40_000, 40_999);
	const asked = { how: 'ask', rate: 500, count: 1_500, port: 80, targets: [SERVICE] } as const;
	const tally = await hello.ask('client', asked);
	expect({ failures: failures(tally), misdelivered: tally.misdelivered }).toEqual({ failures: {}, misdelivered: 0 });
	// the last ones are still on their way there
	await expect.poll(() => timeWaits(scene), { timeout: 10_000 }).toBe(1_500);
	expect((await run('web', ['python3', '-c', EARLY], { timeout: 120_000 })).stdout).toBe('1000 EADDRINUSE\n');
	// and no other has one: those that a program took are passed over for whoever lets the kernel choose, at any address
	expect(failures(await hello.ask('client', { ...asked, count: 10 }))).toEqual({ EADDRNOTAVAIL: 10 });
});
