/**
 * What an identity costs, in guest instructions, which are the same on every machine and are not cycles. All sockets of a test are of
 * one process in one guest, and take turns: one with an identity; one without, that was bound to the same address by hand; that one
 * again, which tells what is noise; and one without anything, whose address the kernel chooses.
 */
import { expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { type CallCosts, type CallKind, callCosts, serverOf, type Variant } from '../support/cost/calls.ts';
import { COUNTED } from '../support/cost/measure.ts';
import { ADDRESSES, cgroup, type IdentityScene, identity, identityScene } from './scene.ts';

/** Of each variant. */
const CALLS = 40;
/** Instructions by which two of a kind differ: a cache line's worth of a path that is a few instructions longer. */
const NOISE = 10;
/** Of an exchange those that another lookup of routes may take: 176 were measured on 5.10, 12 on 7.3. */
const STEP = 250;

const NOBODY = '/sys/fs/cgroup';
const BY_HAND: Variant = { cgroup: NOBODY, source: ADDRESSES.web.ipv6 };
const VARIANTS = {
	byHand: BY_HAND,
	identity: { cgroup: cgroup('web') },
	byHandAgain: BY_HAND,
	chosen: { cgroup: NOBODY },
} as const;

async function toPeer<Name extends string>(
	{ vm, lab }: IdentityScene,
	kind: CallKind,
	variants: Record<Name, Variant>,
) {
	await using server = await lab.peer.spawn(await serverOf(vm, kind, '::'));
	await server.waitFor(/^serving/, 60_000);
	return await callCosts(vm, kind, PEER.ipv6, variants, CALLS);
}

function inWords({ instructions }: CallCosts<string>): string {
	const words = Object.entries(instructions).map(([name, count]) => `${name} ${count}`);
	return words.join(', ');
}

test('an identity is paid for by connect and by sendto, and an established connection carries bytes for nothing', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires, annotate }) => {
	await requires('modules');
	const scene = await identityScene((request) => lab({ ...request, ...COUNTED }));
	await scene.net.addContainer(identity('web'));
	const added = async (kind: CallKind) => {
		const costs = await toPeer(scene, kind, VARIANTS);
		await annotate(`${kind}, instructions: ${inWords(costs)}`);
		if (process.env.PATHPROOF_SHOW) console.log(scene.vm.kernel.id, kind, inWords(costs));
		expect(Math.abs(costs.added('byHand', 'byHandAgain'))).toBeLessThanOrEqual(NOISE);
		return costs.added('byHand', 'identity');
	};
	const connect = await added('connect');
	expect(connect).toBeGreaterThan(1_000);
	expect(connect).toBeLessThan(2_500);
	const sendto = await added('sendto');
	expect(sendto).toBeGreaterThan(200);
	expect(sendto).toBeLessThan(1_000);
	expect(Math.abs(await added('exchange'))).toBeLessThanOrEqual(NOISE);
});

test('what keeps ::1 out of reach is paid for with each packet that the container receives, and next to nothing by others', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires, annotate }) => {
	await requires('modules');
	const scene = await identityScene((request) => lab({ ...request, ...COUNTED }));
	const { net, vm } = scene;
	await net.addContainer(identity('web'));
	await net.addContainer(identity('api'));
	const variants = { ...VARIANTS, other: { cgroup: cgroup('api') } } as const;
	const before = await toPeer(scene, 'exchange', variants);
	await net.removeContainer('api');
	await net.addContainer(identity('api', { privateLocalhost: true }));
	const after = await toPeer(scene, 'exchange', variants);

	// of a socket that is bound to no loopback address, one packet is received here in an exchange
	const short = after.added('identity', 'other') - before.added('identity', 'other');
	// of a server at ::1 and its client, both of the container, two are
	const names = ['web', 'api'] as const;
	const servers = await Promise.all(
		names.map(async (name) => scene.start(name, await serverOf(vm, 'exchange', '::1'))),
	);
	for (const server of servers) await server.waitFor(/^serving/, 60_000);
	const own = { web: { cgroup: cgroup('web') }, api: { cgroup: cgroup('api') } };
	const within = (await callCosts(vm, 'exchange', '::1', own, CALLS)).added('web', 'api');
	const others = after.instructions.chosen - before.instructions.chosen;
	const said = `a packet ${short}, two by way of ::1 ${within}, an exchange of others ${others}`;
	await annotate(`instructions more: ${said}`);
	if (process.env.PATHPROOF_SHOW) console.log(vm.kernel.id, said);
	// the way to another address may be a step longer, and so may anybody's once an address has come or gone
	expect(Math.abs(before.added('identity', 'other'))).toBeLessThanOrEqual(STEP);
	expect(short).toBeGreaterThan(100);
	expect(short).toBeLessThan(600);
	expect(within).toBeGreaterThan(200);
	expect(within).toBeLessThan(1_200);
	// two packets, with the peer's, which is of the same kernel
	expect(Math.abs(others)).toBeLessThanOrEqual(STEP);
});

test('counting what datagrams carry is paid for with each of them, and with each segment of TCP, which has to be told from them', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires, annotate }) => {
	await requires('modules');
	const scene = await identityScene((request) => lab({ ...request, ...COUNTED }));
	await scene.net.addContainer(identity('web'));
	await scene.net.addContainer(identity('api', { countUdp: true }));
	const variants = { ...VARIANTS, counted: { cgroup: cgroup('api') } } as const;
	const added = async (kind: CallKind) => (await toPeer(scene, kind, variants)).added('identity', 'counted');
	const datagram = await added('sendto');
	// one segment sent and one received
	const exchange = await added('exchange');
	const said = `a datagram sent ${datagram}, an exchange over TCP ${exchange}`;
	await annotate(`instructions more: ${said}`);
	if (process.env.PATHPROOF_SHOW) console.log(scene.vm.kernel.id, said);
	expect(datagram).toBeGreaterThan(200);
	expect(datagram).toBeLessThan(800);
	expect(exchange).toBeGreaterThan(100);
	expect(exchange).toBeLessThan(1_000);
});
