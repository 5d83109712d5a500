/** Many containers at once, each with a server at one and the same port: who asks one hears of no other, whatever happens to those. */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { answers, failures, Hello } from './hello.ts';
import { type IdentityScene, identity, identityScene } from './scene.ts';

const PORT = 7000;
const SERVICES = ['2001:db8:0:2::a', '2001:db8:0:2::b'] as const;

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `c${index + 1}`);
const addressOf = (name: string) => `2001:db8:0:2::1:${name.slice(1)}`;
const target = (name: string) => `${name}@${addressOf(name)}`;
/** The first half is behind one service, the other half behind another: at one port too. */
const serviceOf = (name: string, count: number) => SERVICES[Number(name.slice(1)) > count / 2 ? 1 : 0];

function container(name: string, count: number) {
	const serves = [{ address: serviceOf(name, count), port: 80, protocol: 'tcp' as const, to: PORT, sticky: false }];
	return { ...identity('web', { serves }), name, ipv6: addressOf(name), ipv4: null };
}

const CLIENT = { ...identity('web'), name: 'client', ipv6: '2001:db8:0:2::c', ipv4: null };

/** Each asked ten times by the peer, at its own address, and all by a container, at the services. */
async function expectEachToAnswer(hello: Hello, count: number): Promise<void> {
	const names = numbered(count);
	const asked = { how: 'ask', rate: 200, port: PORT } as const;
	const own = await hello.ask(null, { ...asked, count: 10 * count, targets: names.map(target) });
	expect(own.targets).toEqual(
		Object.fromEntries(names.map((name) => [target(name), { answers: { [name]: 10 }, failures: {} }])),
	);
	expect(own.misdelivered).toBe(0);
	const served = await hello.ask('client', { ...asked, port: 80, count: 40 * count, targets: SERVICES });
	expect(failures(served)).toEqual({});
	for (const service of SERVICES)
		expect(Object.keys(served.targets[service]!.answers).sort()).toEqual(
			names.filter((name) => serviceOf(name, count) === service).sort(),
		);
}

async function addMany({ net }: IdentityScene, count: number): Promise<void> {
	for (const name of numbered(count)) await net.addContainer(container(name, count));
}

test('ten containers serve one port, each at its own address, and two services at another', {
	...turn(1, 'modules'),
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const hello = await Hello.in(scene);
	await scene.net.addContainer(CLIENT);
	await addMany(scene, 10);
	for (const name of numbered(10)) await hello.serve(name, PORT);
	await expectEachToAnswer(hello, 10);
});

test('fifty containers serve one port; one that starts again, or goes and comes, disturbs no other', {
	tags: [FULL],
	timeout: 900_000,
}, async ({ lab, requires }) => {
	await requires('modules');
	const scene = await identityScene(lab);
	const { net, state } = scene;
	const hello = await Hello.in(scene);
	await net.addContainer(CLIENT);
	const before = await state.hostState();
	await addMany(scene, 50);
	const names = numbered(50);
	const servers = new Map(await Promise.all(names.map(async (name) => [name, await hello.serve(name, PORT)] as const)));
	await expectEachToAnswer(hello, 50);

	// from the peer to each of them: one connection that is kept, and ever new ones
	const targets = names.map(target);
	const held = await hello.keepAsking(null, { how: 'hold', rate: 100, port: PORT, targets });
	const asked = await hello.keepAsking(null, { how: 'ask', rate: 100, port: PORT, targets });
	const stop = async (name: string) => {
		await servers.get(name)!.kill('SIGKILL');
		await servers.get(name)!.ended;
	};
	await stop('c7');
	servers.set('c7', await hello.serve('c7', PORT));
	await stop('c7');
	await net.removeContainer('c7');
	await net.addContainer(container('c7', 50));
	servers.set('c7', await hello.serve('c7', PORT));
	const tallies = [await held.stop(), await asked.stop()];
	for (const { targets: found, misdelivered } of tallies) {
		expect(misdelivered).toBe(0);
		const { [target('c7')]: restarted, ...others } = found;
		// otherwise nobody asked while it was away
		expect(Object.keys(restarted!.failures)).not.toEqual([]);
		expect(Object.entries(others).filter(([, one]) => Object.keys(one.failures).length)).toEqual([]);
		for (const name of names.filter((one) => one !== 'c7'))
			expect(others[target(name)]!.answers[name]).toBeGreaterThan(1);
	}
	await expectEachToAnswer(hello, 50);

	await Promise.all(names.map(stop));
	await net.removeContainers(names);
	expect(await state.differences(before)).toEqual({});
	expect(answers(await hello.ask(null, { how: 'ask', rate: 100, count: 50, port: PORT, targets }))).toEqual({});
});
