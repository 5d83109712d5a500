/** What a container may bind, and what it gets. */
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { ADDRESSES, type Call, HOST, identity, identityScene } from './scene.ts';

const { web, api } = ADDRESSES;
const bind = (address: string, port = 8123, type: Call['type'] = 'tcp'): Call => ({
	call: 'bind',
	type,
	bind: [address, port],
});
const WILDCARD = '2001:db8:0:2::10';

test('a wildcard is the own address of a container, and nothing else is but what is its own', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('modules');
	const { net, calls, serve, vm } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api'));
	const tried = ['::', '::1', web.ipv6, api.ipv6, HOST.ipv6, 'ff02::1', `::ffff:${HOST.ipv4}`, `::ffff:${web.ipv4}`];
	const tried4 = ['0.0.0.0', '127.0.0.1', '127.3.2.1', web.ipv4, api.ipv4, HOST.ipv4, '224.0.0.1'];
	for (const type of ['tcp', 'udp'] as const) {
		const made = await calls(
			'web',
			[...tried, ...tried4].map((address) => bind(address, 8123, type)),
		);
		// as the program asked, or the error
		expect(made.map(({ local, error }) => local ?? error)).toEqual([
			...['::', '::1', web.ipv6, 'EPERM', 'EPERM', 'EPERM', 'EPERM', `::ffff:${web.ipv4}`],
			...['0.0.0.0', '127.0.0.1', '127.3.2.1', web.ipv4, 'EPERM', 'EPERM', 'EPERM'],
		]);
	}
	await using _server = await serve('web', '::', 80);
	expect((await vm.exec(['ss', '-Hltn', 'sport = :80'])).stdout).toContain(`[${WILDCARD}]:80`);
});

test('two containers serve one port, each at its own address', async ({ lab, requires }) => {
	await requires('modules');
	const { net, serve, vm } = await identityScene(lab);
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api'));
	const servers = [await serve('web', '::', 80), await serve('api', '::', 80)];
	for (const { ipv6 } of [web, api]) {
		const { stdout } = await vm.exec(['socat', '-u', `TCP6:[${ipv6}]:80`, '-'], { netns: 'peer' });
		expect(stdout).toBe(`${PEER.ipv6} ${ipv6}`);
	}
	for (const server of servers) await server.kill();
});

test('a container binds the ports that it may, and no others', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('modules');
	const { net, calls } = await identityScene(lab);
	const range = (first: number, last = first) => ({ first, last });
	await net.addContainer(identity('web', { ports: [range(80), range(8000, 8999)], reserved: [range(8080, 8081)] }));
	const ports = [80, 81, 7999, 8000, 8079, 8080, 8081, 8082, 8999, 9000, 65535];
	const made = await calls(
		'web',
		ports.map((port) => bind('::', port)),
	);
	expect(Object.fromEntries(ports.map((port, index) => [port, made[index]!.error ?? 'bound']))).toEqual({
		80: 'bound',
		81: 'EPERM',
		7999: 'EPERM',
		8000: 'bound',
		8079: 'bound',
		8080: 'EPERM',
		8081: 'EPERM',
		8082: 'bound',
		8999: 'bound',
		9000: 'EPERM',
		65535: 'EPERM',
	});
	// which port the kernel chooses is its own affair
	expect((await calls('web', [bind('::', 0)]))[0]!.local).toBe('::');
	expect((await net.showContainer('web')).identity!.counts).toMatchObject({ FORBIDDEN_PORT: 6, BINDS: 6 });
});

test('an address that is shared belongs to each container by its ports', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('modules');
	const { net, calls, vm } = await identityScene(lab);
	const vip = '2001:db8:0:2::80';
	await vm.exec(['ip', 'addr', 'add', `${vip}/128`, 'dev', 'lo', 'nodad']);
	const share = (port: number) => ({ address: vip, port, protocol: 'tcp' as const });
	await net.addContainer(identity('web', { shares: [share(80)] }));
	await net.addContainer(identity('api', { shares: [share(443)] }));
	const tried = [bind(vip, 80), bind(vip, 443), bind(vip, 8000), bind(vip, 80, 'udp')];
	const outcome = async (name: string) => (await calls(name, tried)).map(({ local, error }) => error ?? local);
	expect(await outcome('web')).toEqual([vip, 'EPERM', 'EPERM', 'EPERM']);
	expect(await outcome('api')).toEqual(['EPERM', vip, 'EPERM', 'EPERM']);
	await expect(
		net.addContainer({
			...identity('web', { shares: [share(443)] }),
			name: 'db',
			ipv6: '2001:db8:0:2::12',
			ipv4: null,
		}),
	).rejects.toThrow(`tcp port 443 of ${vip} is api's already`);
});

test('at an address that is shared the world is answered by the container whose port it is, from that address', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, peerCalls, serve, vm } = await identityScene(lab);
	const vip = '2001:db8:0:2::80';
	await vm.exec(['ip', 'addr', 'add', `${vip}/128`, 'dev', 'lo', 'nodad']);
	const shares = (port: number) => (['tcp', 'udp'] as const).map((protocol) => ({ address: vip, port, protocol }));
	await net.addContainer(identity('web', { shares: shares(80) }));
	await net.addContainer(identity('api', { shares: shares(443) }));
	await using _web = await serve('web', vip, 80);
	await using _api = await serve('api', vip, 443);
	const asked = [80, 443].flatMap((port): Call[] => [
		{ call: 'connect', type: 'tcp', to: vip, port },
		{ call: 'connect', type: 'udp', to: vip, port },
		{ call: 'sendto', type: 'udp', to: vip, port },
	]);
	// a connected socket hears nobody else, and recvmsg names who has answered
	const answers = await peerCalls(asked);
	expect(answers.map(({ seen, peer, error }) => error ?? [seen, peer])).toEqual(Array(6).fill([PEER.ipv6, vip]));
	for (const name of ['web', 'api'])
		expect((await net.showContainer(name)).identity!.counts).toMatchObject({ FLOWS_IN: 1 });
});

test('a port below 1024 takes the capability, or a container that is given low ports', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules', 'cgroup-low-ports');
	const { net, run } = await identityScene(lab);
	const script = `
import socket
for port in 80, 8080:
    for family, address in (socket.AF_INET6, '::'), (socket.AF_INET, '0.0.0.0'):
        try: socket.socket(family).bind((address, port)); print(port, 'bound')
        except OSError as error: print(port, error.errno)`;
	const unprivileged = ['setpriv', '--reuid', '1000', '--clear-groups', '--inh-caps=-all', 'python3', '-c', script];
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api', { lowPorts: true, reserved: [{ first: 8080, last: 8080 }] }));
	const outcome = async (name: string) => (await run(name, unprivileged)).stdout.trim().split('\n');
	expect(await outcome('web')).toEqual(['80 13', '80 13', '8080 bound', '8080 bound']);
	expect(await outcome('api')).toEqual(['80 bound', '80 bound', '8080 1', '8080 1']);
	expect(await net.checkHost()).toEqual([]);
});
