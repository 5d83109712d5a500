import { describe, expect, test } from 'pathproof';
import { identity, identityScene } from '../identity/scene.ts';
import { Steady } from '../identity/steady.ts';
import { FULL } from '../support/config.ts';
import { newerPrograms } from './newer.ts';
import { addWords, request, type Scene, scene } from './scene.ts';

const SECONDS = 10;
const CELLS = [
	{ device: 'veth', forward: 'redirect', needs: ['veth'] },
	{ device: 'netkit-l3', forward: 'redirect', needs: ['netkit'] },
] as const;
/** One has programs of the host as a whole besides, whose replacement is another. */
const STREAMS = [...CELLS, { device: 'ipvlan-l2', forward: 'native', needs: ['ipvlan', 'tcx'] }] as const;

/** Program ids by name, of what is attached to a container and its uplink. */
async function attachedIds({ net }: Scene, name: string): Promise<Record<string, number | null>> {
	const { attachments } = await net.showContainer(name);
	return Object.fromEntries(attachments.map(({ program, id }) => [program, id]));
}

describe.for(STREAMS)('an upgrade of $device under traffic', (cell) => {
	test('loses no packet of a datagram stream, nor of a TCP connection', { tags: [FULL], timeout: 600_000 }, async ({
		lab,
		requires,
	}) => {
		await requires(...cell.needs);
		const on = await scene(lab);
		await on.net.addContainer(request('web', cell));
		const before = await attachedIds(on, 'web');
		await on.vm.exec([
			'sysctl',
			'-qw',
			'net.core.rmem_max=33554432',
			'net.core.wmem_max=33554432',
			'net.core.netdev_max_backlog=100000',
		]);
		const full = await buffersFull(on);
		const { upgrades, end } = await underTraffic(on, [
			...['--udp', '--bitrate', '2M', '--length', '1000', '--window', '16M'],
		]);
		// What the receiver had no room for had arrived: it may have stood still meanwhile, on a busy machine.
		const lostOnTheWay = end.sum.lost_packets - ((await buffersFull(on)) - full);
		expect({ lostOnTheWay, upgrades: upgrades >= 1 }).toEqual({ lostOnTheWay: 0, upgrades: true });
		expect(end.sum.packets).toBeGreaterThan(1000);

		const spurious = await duplicates(on);
		const tcp = await underTraffic(on, ['--bitrate', '40M']);
		// What the receiver had already was not lost, only late: this machine may have stood still meanwhile.
		const lost = Math.max(0, tcp.end.sum_sent.retransmits - ((await duplicates(on)) - spurious));
		expect({ lost, upgrades: tcp.upgrades >= 1 }).toEqual({ lost: 0, upgrades: true });

		const after = await attachedIds(on, 'web');
		expect(Object.keys(after)).toEqual(Object.keys(before));
		expect(await on.net.checkHost()).toEqual([]);
	});
});

describe.for(CELLS)('an upgrade of $device', (cell) => {
	test('replaces every program, and does nothing the second time', { tags: [FULL], timeout: 600_000 }, async ({
		lab,
		requires,
	}) => {
		await requires(...cell.needs);
		const on = await scene(lab);
		const { net, pathproof, reaches, vm } = on;
		for (const name of ['web', 'api'] as const) await net.addContainer(request(name, cell));
		const before = await attachedIds(on, 'web');
		expect(await on.done(['net', 'upgrade'])).toBe('the programs of this host are those of this pathproof already\n');
		const env = await newerPrograms(vm);
		const dry = JSON.parse((await pathproof(['net', 'upgrade', '--dry-run', '--json'], { env })).stdout);
		expect(await attachedIds(on, 'web')).toEqual(before);
		const real = JSON.parse((await pathproof(['net', 'upgrade', '--json'], { env })).stdout);
		expect(real).toEqual({ ...dry, dryRun: false, changed: true });
		expect(real.steps.map((step: string) => step.replace(/ \(.*/, '')).sort()).toEqual([
			'pin another egress_fib',
			'pin another egress_guard',
			'pin another egress_neigh',
			'pin another ingress_peer',
			'replace egress_neigh on api',
			'replace egress_neigh on web',
			'replace ingress_peer on eth0',
		]);
		const after = await attachedIds(on, 'web');
		for (const [program, id] of Object.entries(after)) expect(before[program]).not.toBe(id);
		expect((await attachedIds(on, 'api')).egress_neigh).toBe(after.egress_neigh);
		expect((await pathproof(['net', 'upgrade'], { env })).stdout).toMatch(/already$/m);
		expect(await net.checkHost()).toEqual([]);
		await reaches('web');
	});
});

test('what an earlier pathproof did not have is said to be missing, and an upgrade brings it', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires }) => {
	await requires('veth');
	const on = await scene(lab);
	const { net, reaches, state, vm } = on;
	const empty = await state.hostState();
	const [web, api] = [
		request('web', { device: 'veth', forward: 'redirect' }),
		request('api', { device: 'veth', forward: 'fib' }),
	];
	await net.addContainer(web);
	const PINS = '/sys/fs/bpf/pathproof';
	await vm.exec(['rm', `${PINS}/maps/allowed`, `${PINS}/programs/egress_fib`]);
	await expect(net.addContainer(api)).rejects.toThrow(
		'the datapath was pinned by an earlier pathproof, without allowed, egress_fib',
	);
	const { upgradeTo } = vm.use<typeof import('../support/guest/upgrade.ts')>('vmtests/support/guest/upgrade.ts');
	expect((await upgradeTo(null)).slice(0, 5)).toEqual([
		'pin the map allowed',
		'pin another egress_guard',
		'pin another egress_neigh',
		'pin egress_fib',
		'pin another ingress_peer',
	]);
	expect(await upgradeTo(null)).toEqual([]);
	await net.addContainer({ ...api, allow: ['web'] });
	expect(await net.checkHost()).toEqual([]);
	for (const name of ['web', 'api']) await reaches(name);
	await vm.exec(['ping', '-c1', '-W5', web.ipv6!], { netns: 'api' });
	for (const name of ['web', 'api']) await net.removeContainer(name);
	expect(await state.differences(empty)).toEqual({});
});

test('the programs that an ipvlan container has on the host as a whole are replaced too, forth and back', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires }) => {
	await requires('ipvlan', 'tcx');
	const on = await scene(lab);
	const { net, pathproof, reaches, state, vm } = on;
	const empty = await state.hostState();
	await net.addContainer(request('web', { device: 'ipvlan-l2', forward: 'native' }));
	const env = await newerPrograms(vm);
	let before = await attachedIds(on, 'web');
	expect(Object.keys(before)).toEqual(expect.arrayContaining(['ipvlan_takes', 'ipvlan_has_sent', 'output_guard']));
	for (const one of [env, {}, env]) {
		expect(await pathproof(['net', 'upgrade'], { env: one })).toMatchObject({ code: 0 });
		const after = await attachedIds(on, 'web');
		// it looks nothing up, and is the same in both
		const { forget_dropped, ...others } = after;
		expect(forget_dropped).toBe(before.forget_dropped);
		for (const [program, id] of Object.entries(others)) expect(before[program], program).not.toBe(id);
		expect(await net.checkHost()).toEqual([]);
		await reaches('web');
		before = after;
	}
	await net.removeContainer('web');
	expect(await state.differences(empty)).toEqual({});
});

test('an upgrade of identities fails no call of their programs, and keeps their links, sockets and counts', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires }) => {
	await requires('modules');
	const on = await identityScene(lab);
	const { net, state, vm } = on;
	const empty = await state.hostState();
	for (const name of ['web', 'api'] as const) await net.addContainer(identity(name));
	const { PATHPROOF_BPF } = await newerPrograms(vm);
	const { upgradeTo } = vm.use<typeof import('../support/guest/upgrade.ts')>('vmtests/support/guest/upgrade.ts');
	expect(await upgradeTo(null)).toEqual([]);
	const before = (await net.showContainer('api')).attachments;
	expect(before).toHaveLength(18);
	await using steady = await Steady.start(on, 'api');
	let upgrades = 0;
	for (const start = Date.now(); upgrades < 2 || Date.now() - start < 1000 * SECONDS; upgrades++) {
		const steps = await upgradeTo(upgrades % 2 ? null : PATHPROOF_BPF);
		// 4 of redirect, 21 of identity, of which each container has 18
		expect(steps).toHaveLength(4 + 21 + 2 * 18);
		expect(steps).toEqual(expect.arrayContaining(['pin another bind6', 'replace bind6 on the cgroup of api']));
		await pause(200);
	}
	expect(await steady.stop()).toEqual([]);
	const { attachments, identity: after } = await net.showContainer('api');
	expect(attachments.map(({ link }) => link)).toEqual(before.map(({ link }) => link));
	for (const [index, { program, id }] of attachments.entries()) expect(id, program).not.toBe(before[index]!.id);
	// those too that were made before the upgrades, and closed after them
	expect(after!.counts.SOCKETS).toBeGreaterThan(0);
	expect(after!.counts.RELEASED).toBe(after!.counts.SOCKETS);
	expect(await net.checkHost()).toEqual([]);
	await upgradeTo(null);
	await net.removeContainers(['web', 'api']);
	expect(await state.differences(empty)).toEqual({});
});

test('who comes later, in another process, attaches the programs that are there', {
	tags: [FULL],
	timeout: 600_000,
}, async ({ lab, requires }) => {
	await requires('veth');
	const on = await scene(lab);
	const cell = { device: 'veth', forward: 'redirect' } as const;
	await on.done(addWords(request('web', cell)));
	const first = await attachedIds(on, 'web');
	const loaded = (await on.vm.exec(['bpftool', '-j', 'prog', 'show'])).stdout;
	await on.done(addWords(request('api', cell)));
	expect(await attachedIds(on, 'api')).toEqual(first);
	const ids = (text: string) => (JSON.parse(text) as { id: number }[]).map(({ id }) => id);
	expect(ids((await on.vm.exec(['bpftool', '-j', 'prog', 'show'])).stdout)).toEqual(ids(loaded));
});

interface Iperf3 {
	sum: { lost_packets: number; packets: number };
	sum_sent: { retransmits: number };
}

/** From the container to the peer for some seconds, while the programs are replaced, forth and back. */
async function underTraffic({ lab, vm }: Scene, words: string[]): Promise<{ upgrades: number; end: Iperf3 }> {
	const { PATHPROOF_BPF } = await newerPrograms(vm);
	const { upgradeTo } = lab.vm.use<typeof import('../support/guest/upgrade.ts')>('vmtests/support/guest/upgrade.ts');
	// what an earlier measurement ended with
	await upgradeTo(null);
	await using _server = await vm.spawn(['iperf3', '--server', '--one-off', '--forceflush'], { netns: 'peer' });
	await lab.peer.listening('t', 5201);
	await using client = await vm.spawn(
		['iperf3', '-6', '--client', lab.peer.ipv6, '--time', String(SECONDS), '--json', ...words],
		{ netns: 'web' },
	);
	const done = client.ended;
	let upgrades = 0;
	for (let over = false; !over; over = await Promise.race([done.then(() => true), pause(200)])) {
		expect((await upgradeTo(upgrades % 2 ? null : PATHPROOF_BPF)).length).toBeGreaterThan(4);
		upgrades++;
	}
	return { upgrades, end: (JSON.parse((await done).stdout) as { end: Iperf3 }).end };
}

/** Datagrams that had come to the peer's socket, and for which it had no room. */
async function buffersFull({ vm }: Scene): Promise<number> {
	const { stdout } = await vm.exec(['cat', '/proc/net/snmp6'], { netns: 'peer' });
	return Number(/^Udp6RcvbufErrors\s+(\d+)/m.exec(stdout)![1]);
}

/** Segments that the peer had twice. By its own count: of what it says to the container, which goes by then, not all is heard. */
async function duplicates({ vm }: Scene): Promise<number> {
	const { stdout } = await vm.exec(['cat', '/proc/net/netstat'], { netns: 'peer' });
	const [names, values] = stdout
		.split('\n')
		.filter((line) => line.startsWith('TcpExt:'))
		.map((line) => line.split(' '));
	return ['TCPDSACKOldSent', 'TCPDSACKOfoSent']
		.map((name) => Number(values![names!.indexOf(name)]))
		.reduce((one, other) => one + other);
}

function pause(ms: number): Promise<false> {
	return new Promise((resolve) => setTimeout(() => resolve(false), ms));
}
