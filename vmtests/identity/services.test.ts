/** Service addresses: what connect and sendmsg are told, and which container answers. */
import { describe, expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { answers, failures, Hello } from './hello.ts';
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

const names = (tally: Parameters<typeof answers>[0]) => Object.keys(answers(tally)).sort();

describe.for([false, true])('a backend under load, sticky: %s', (sticky) => {
	const backend = (name: keyof typeof ADDRESSES, drained = false) => identity(name, { ...serve(sticky), drained });

	test('one that is drained gets nobody new and keeps whom it has, goes unnoticed, and comes again', {
		tags: [FULL],
	}, async ({ lab, requires }) => {
		await requires('modules');
		const scene = await identityScene(lab);
		const { net } = scene;
		const hello = await Hello.in(scene);
		await net.addContainer(client);
		const servers = new Map<string, Awaited<ReturnType<Hello['serve']>>>();
		for (const name of ['web', 'api'] as const) {
			await net.addContainer(backend(name));
			servers.set(name, await hello.serve(name, 8080));
		}
		const few = () => hello.ask('client', { how: 'ask', rate: 100, count: 40, port: 80, targets: [SERVICE] });
		const first = names(await few());
		expect(first).toHaveLength(sticky ? 1 : 2);
		const asking = { port: 80, targets: [SERVICE] };
		const load = await hello.keepAsking('client', { how: 'ask', rate: 50, ...asking });
		const kept = await hello.keepAsking('client', { how: 'hold', rate: 20, ...asking });
		// of the sticky, the one that all are sent to
		const [going, staying] = first[0] === 'api' ? (['api', 'web'] as const) : (['web', 'api'] as const);
		await net.drainContainer(going, true);
		expect(await net.checkHost()).toEqual([]);
		expect(names(await few())).toEqual([staying]);
		// whoever it was connected to
		const held = await kept.stop();
		expect({ names: names(held).length, failures: failures(held) }).toEqual({ names: 1, failures: {} });
		await servers.get(going)!.kill('SIGKILL');
		await servers.get(going)!.ended;
		await net.removeContainer(going);
		expect(names(await few())).toEqual([staying]);
		await net.addContainer(backend(going, true));
		await using _again = await hello.serve(going, 8080);
		expect(names(await few())).toEqual([staying]);
		await net.drainContainer(going, false);
		// the very same as before
		expect(names(await few())).toEqual(first);
		const all = await load.stop();
		expect({ failures: failures(all), misdelivered: all.misdelivered }).toEqual({ failures: {}, misdelivered: 0 });
		expect(names(all)).toEqual(['api', 'web']);
	});

	test('one that dies is refused to those that are sent to it until it is taken away, and no longer', {
		tags: [FULL],
	}, async ({ lab, requires }) => {
		await requires('modules');
		const scene = await identityScene(lab);
		const { net } = scene;
		const hello = await Hello.in(scene);
		await net.addContainer(client);
		await net.addContainer(backend('web'));
		await net.addContainer(backend('api'));
		await using _api = await hello.serve('api', 8080);
		const web = await hello.serve('web', 8080);
		const questions = { how: 'ask', rate: 100, count: 100, port: 80, targets: [SERVICE] } as const;
		await web.kill('SIGKILL');
		await web.ended;
		const dead = await hello.ask('client', questions);
		const { ECONNREFUSED: refused = 0, ...others } = failures(dead);
		expect(others).toEqual({});
		// half of 256 slots; the sticky one is there for all or for none
		if (sticky) expect([0, 100]).toContain(refused);
		else expect(refused).toBeGreaterThan(20);
		expect(refused + (answers(dead).api ?? 0)).toBe(100);
		await net.removeContainer('web');
		expect((await hello.ask('client', questions)).targets).toEqual({
			[SERVICE]: { answers: { api: 100 }, failures: {} },
		});
	});
});
