/** Service addresses: what connect and sendmsg are told, and which container answers. */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { ADDRESSES, type Call, identity, identityScene } from './scene.ts';

const SERVICE = '2001:db8:0:2::99';
const serve = (sticky = false) => ({
	serves: (['tcp', 'udp'] as const).map((protocol) => ({ address: SERVICE, port: 80, protocol, to: 8080, sticky })),
});
const CALL: Record<string, Call> = {
	tcp: { call: 'connect', type: 'tcp', to: SERVICE, port: 80 },
	'udp connected': { call: 'connect', type: 'udp', to: SERVICE, port: 80 },
	udp: { call: 'sendto', type: 'udp', to: SERVICE, port: 80 },
};
const client = { ...identity('web'), name: 'client', ipv6: '2001:db8:0:2::30', ipv4: null };

test('a service is answered by the containers behind it, by each, and by those alone that are there', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, calls, vm } = scene;
	await net.addContainer(client);
	await net.addContainer(identity('web', serve()));
	await net.addContainer(identity('api', serve()));
	expect(await net.checkHost()).toEqual([]);
	const web = await scene.serve('web', '::', 8080);
	const api = await scene.serve('api', '::', 8080);
	for (const [what, call] of Object.entries(CALL)) {
		const made = await calls('client', Array(24).fill(call));
		// the program sees the service, and the server its client
		expect({ what, peers: [...new Set(made.map(({ peer }) => peer))] }).toEqual({ what, peers: [SERVICE] });
		expect(new Set(made.map(({ seen }) => seen))).toEqual(new Set([client.ipv6]));
	}
	const { identity: asked } = await net.showContainer('client');
	expect(asked!.counts).toMatchObject({ SERVED: 72, FLOWS_OUT: 24 });
	const inflows = async (name: string) => (await net.showContainer(name)).identity!.counts.FLOWS_IN!;
	const [toWeb, toApi] = [await inflows('web'), await inflows('api')];
	expect(toWeb + toApi).toBe(24);
	expect(Math.min(toWeb, toApi)).toBeGreaterThan(0);

	await web.kill();
	await net.removeContainer('web');
	expect((await calls('client', Array(24).fill(CALL.tcp))).filter(({ error }) => error)).toEqual([]);
	expect(await inflows('api')).toBe(toApi + 24);

	await api.kill();
	await net.removeContainer('api');
	const dump = await vm.exec(['bpftool', '-j', 'map', 'dump', 'pinned', '/sys/fs/bpf/pathproof/maps/services']);
	expect(JSON.parse(dump.stdout)).toEqual([]);
});

test('a sticky service gives all sockets of a container the same one', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, calls } = scene;
	await net.addContainer(client);
	await net.addContainer(identity('web', serve(true)));
	await net.addContainer(identity('api', serve(true)));
	await using _web = await scene.serve('web', '::', 8080);
	await using _api = await scene.serve('api', '::', 8080);
	await calls('client', Array(12).fill(CALL.tcp));
	const inflows = [];
	for (const name of Object.keys(ADDRESSES)) inflows.push((await net.showContainer(name)).identity!.counts.FLOWS_IN);
	expect(inflows.sort()).toEqual([0, 12]);
});
