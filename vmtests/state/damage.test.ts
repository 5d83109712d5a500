import { describe, expect, test } from 'pathproof';
import type { ContainerRequest } from '../../impl/container.ts';
import { identity, identityScene } from '../identity/scene.ts';
import { FULL } from '../support/config.ts';
import { netCheckDocument } from '../support/schema/net.ts';
import { turn } from '../support/turns.ts';
import { request, type Scene, scene, UPLINK } from './scene.ts';

interface Damage {
	/** done by hand, as a shell says it */
	by: string;
	/** what `net check` says, without the container's name */
	finds: string[];
	/** more may be found: one thing that is gone takes others along */
	atLeast?: true;
}

const PINS = '/sys/fs/bpf/pathproof';
const ADDRESS = 'hex 20 01 0d b8 00 00 00 02 00 00 00 00 00 00 00 10';
/** Of a program's link, whichever it is: its kind is part of the pin's name. */
const detach = (program: string, device: string) =>
	`for pin in ${PINS}/attachments/${program}@$(cat /sys/class/net/${device}/ifindex)@*; do case $pin in
		*@clsact@*) tc filter del dev ${device} ingress;;
		*) bpftool link detach pinned $pin;;
	esac; done`;

/** Of every container that has a device pair. */
const COMMON: Damage[] = [
	{ by: 'ip -n web addr del 2001:db8:0:2::10/128 dev eth0', finds: ['its address 2001:db8:0:2::10'] },
	{ by: 'ip -n web link set dev eth0 down', finds: ['eth0 in its netns'], atLeast: true },
	{ by: 'ip -n web route del ::/0', finds: ['its IPv6 default route'] },
	{ by: 'ip -n web link del dev eth0', finds: ['its device is gone'], atLeast: true },
	{ by: 'ip link del dev web', finds: ['its device is gone'], atLeast: true },
	{ by: 'ip netns del web', finds: ['its netns is gone'], atLeast: true },
	{ by: 'ip route del 198.51.100.10 dev web', finds: ["the host's route to 198.51.100.10"] },
	{ by: `bpftool map delete pinned ${PINS}/maps/endpoints key ${ADDRESS}`, finds: ['its row of the map endpoints'] },
	{
		by: `bpftool map update pinned ${PINS}/maps/containers key hex $(printf '%02x 00 00 00' $(cat /sys/class/net/web/ifindex)) value hex $(printf '00 %.0s' $(seq 108))`,
		finds: ['its row of the map containers'],
	},
];

/** Of every one that is redirected at its uplink. */
const AT_UPLINK: Damage[] = [
	{ by: detach('ingress_peer', 'eth0'), finds: ['ingress_peer on eth0'] },
	{ by: `rm ${PINS}/attachments/ingress_peer@*`, finds: ['ingress_peer on eth0'] },
];

/** Of every one whose uplink the host's routes choose. */
const ROUTING = (sysctl: string): Damage[] => [
	{ by: 'ip -6 rule del pref 1001', finds: ['its rule'] },
	{ by: 'ip -4 rule del pref 1009', finds: ['its rule'] },
	{ by: 'ip -6 rule del pref 1000', finds: ['the rule before all'] },
	{ by: 'ip route flush table $(ip rule list pref 1001 | sed "s/.*lookup //")', finds: ['the routes by uplinks'] },
	{ by: `sysctl -qw ${sysctl}=0`, finds: [`the sysctl ${sysctl}`] },
];

const SETTING = 'of eth0 in its netns';
/** The same row, of a device that ipvlan calls 99. */
const OTHER_SLAVE = `set -- $(bpftool -j map lookup pinned ${PINS}/maps/endpoints key ${ADDRESS} |
		sed 's/.*"value":\\[\\([^]]*\\)\\].*/\\1/; s/"//g; s/,/ /g')
	head="$1 $2 $3 $4"; shift 5
	bpftool map update pinned ${PINS}/maps/endpoints key ${ADDRESS} value $head 0x63 $*`;

/** Of every slave; `other`: a mode that is not its own. */
const OF_SLAVE = (other: 'l2' | 'l3'): Damage[] => [
	{ by: 'ip -n web link set dev eth0 type ipvlan bridge', finds: [`the setting private ${SETTING}`] },
	{ by: `ip -n web link set dev eth0 type ipvlan mode ${other} private`, finds: [`the setting mode ${SETTING}`] },
	{ by: OTHER_SLAVE, finds: ['its row of the map endpoints'] },
];

/** Of those among which ipvlan looks for each destination. */
const TAKEN: Damage[] = ['2001:db8:5::1/128', '203.0.113.1/32'].map((address) => ({
	by: `ip -n web addr add ${address} dev eth0`,
	finds: [`${address.replace(/\/.*/, '')} on eth0 in its netns`],
}));

const VIP = '2001:db8:0:2::80';
const SERVICE = '2001:db8:0:2::99';
const CGROUP = '/sys/fs/cgroup/pathproof/web';
/** bpftool's words for struct share, and for the rest of a row in zeros: a port of an address, by TCP. */
const share = (end: string) => `hex 20 01 0d b8 00 00 00 02 00 00 00 00 00 00 00 ${end} 06 00 00 00`;
const zeros = (count: number) => `hex $(printf '00 %.0s' $(seq ${count}))`;
const row = (act: 'update' | 'delete', map: string, words: string) =>
	`bpftool map ${act} pinned ${PINS}/maps/${map} key ${words}`;

/** Of one whose programs run meanwhile: it cannot be added anew. */
const OF_IDENTITY: Damage[] = [
	{ by: 'ip addr del 2001:db8:0:2::10/128 dev lo', finds: ['its address 2001:db8:0:2::10'] },
	{ by: 'ip addr del 198.51.100.10/32 dev lo', finds: ['its address 198.51.100.10'] },
	{ by: `bpftool link detach pinned ${PINS}/identities/web/bind6`, finds: [`bind6 on ${CGROUP}`] },
	{ by: `rm ${PINS}/identities/web/connect4`, finds: [`connect4 on ${CGROUP}`] },
	{
		by: `rm -r ${PINS}/identities/web`,
		finds: [`sock_release on ${CGROUP}`, `local_only on ${CGROUP}`],
		atLeast: true,
	},
	{ by: `rm ${PINS}/programs/bind6`, finds: ['the pin of bind6'] },
	{
		by: row(
			'update',
			'identities',
			`hex $(printf '%016x' $(stat -c %i ${CGROUP}) | sed 's/../& /g' | tac -s ' ' | tr '\\n' ' ') value ${zeros(112)}`,
		),
		finds: ['its row of the map identities'],
	},
	{ by: row('delete', 'shares', share('80 01 bb 00 00')), finds: ['its row of the map shares'] },
	{ by: row('delete', 'services', share('99 00 50 00 00')), finds: ['its row of the map services'] },
	{
		by: row('update', 'shares', `${share('81 00 50 00 00')} value ${zeros(8)}`),
		finds: ['shares: rows of ports that no container shares'],
	},
	{
		by: row('update', 'services', `${share('98 00 50 00 00')} value ${zeros(900)}`),
		finds: ['services: rows of services that no container is behind'],
	},
	{ by: `mkdir ${PINS}/identities/ghost`, finds: ['programs of an identity ghost'] },
];

/** Each is done to a whole container, and mended by what `net check` says of it. */
async function isFoundAndMended({ net, vm }: Scene, web: ContainerRequest, damages: Damage[]): Promise<void> {
	for (const { by, finds, atLeast } of damages) {
		await net.addContainer(web);
		await vm.exec(['sh', '-ec', by]);
		const findings = await net.checkHost();
		const found = findings.map(({ what }) => what);
		expect({ by, found }).toEqual({ by, found: atLeast ? expect.arrayContaining(finds) : finds });
		// What is to be typed is typed; one command may mend what another would.
		const { hint } = findings.find(({ what }) => what === finds[0])!;
		for (let typed: string | undefined = hint; typed; typed = (await net.checkHost())[0]?.hint) {
			const { code, stderr } = await vm.exec(['sh', '-c', typed], { reject: false, timeout: 120_000 });
			expect({ by, typed, code, stderr }).toEqual({ by, typed, code: 0, stderr: '' });
		}
	}
}

describe('net check finds what was damaged, and says what to type', () => {
	test('of a veth, redirected', { tags: [FULL], timeout: 900_000 }, async ({ lab, requires }) => {
		await requires('veth');
		await isFoundAndMended(await scene(lab), request('web', { device: 'veth', forward: 'redirect' }), [
			...COMMON,
			...AT_UPLINK,
			{ by: detach('egress_neigh', 'web'), finds: ['egress_neigh on web'] },
			{ by: 'ip neigh del 198.51.100.10 dev web', finds: ["the host's neighbour 198.51.100.10"] },
			{ by: 'ip addr del fe80::1/64 dev web', finds: ["the gateway's address on web"] },
		]);
	});

	test('of a netkit that asks the host for its routes', { tags: [FULL], timeout: 900_000 }, async ({
		lab,
		requires,
	}) => {
		await requires('netkit');
		await isFoundAndMended(await scene(lab), request('web', { device: 'netkit-l3', forward: 'fib' }), [
			...COMMON.slice(0, 1),
			...AT_UPLINK.slice(0, 1),
			{ by: detach('egress_fib', 'web'), finds: ['egress_fib on web'] },
			{ by: 'ip link set dev web type netkit blackhole', finds: ['the setting policy of web'] },
			{ by: 'ip link set dev web type netkit peer blackhole', finds: ['the setting peer_policy of web'] },
			...ROUTING('net/ipv6/conf/web/forwarding'),
		]);
	});

	test('of a veth behind the stack', { tags: [FULL], timeout: 900_000 }, async ({ lab, requires }) => {
		await requires('veth');
		await isFoundAndMended(
			await scene(lab),
			request('web', { device: 'veth', forward: 'stack' }),
			ROUTING('net/ipv6/conf/all/forwarding'),
		);
	});

	test('of a slave of the uplink', { tags: [FULL], timeout: 900_000 }, async ({ lab, requires }) => {
		await requires('ipvlan', 'tcx');
		const on = await scene(lab);
		const slave = (device: 'ipvlan-l2' | 'ipvlan-l3') => request('web', { device, forward: 'native' });
		await isFoundAndMended(on, slave('ipvlan-l2'), OF_SLAVE('l3'));
		await on.net.removeContainer('web');
		await isFoundAndMended(on, slave('ipvlan-l3'), [...OF_SLAVE('l2'), ...TAKEN]);
	});

	test('of a hook where somebody has put a program before ours', { tags: [FULL], timeout: 300_000 }, async ({
		lab,
		requires,
	}) => {
		await requires('veth', 'ipvlan', 'tcx');
		const { net, vm, lab: made } = await scene(lab);
		for (const [device, forward, on, judge] of [
			['veth', 'redirect', 'web', 'egress_neigh on web'],
			['ipvlan-l2', 'native', 'eth0', 'uplink_ingress on eth0'],
		] as const) {
			await net.addContainer(request('web', { device, forward }));
			await made.load('fixtures/stranger.bpf.c', { device: on });
			const findings = await net.checkHost();
			expect(findings.map(({ what, expected }) => [what, expected])).toEqual([[judge, 'before all others']]);
			await vm.exec(findings[0]!.hint.split(' '));
			expect(await net.checkHost()).toEqual([]);
			await net.removeContainer('web');
		}
	});

	test('of an identity, whose programs run on', { tags: [FULL], timeout: 900_000 }, async ({ lab, requires }) => {
		await requires('modules');
		const on = await identityScene(lab);
		await on.vm.exec(['ip', 'addr', 'add', `${VIP}/128`, 'dev', 'lo', 'nodad']);
		const before = await on.state.hostState();
		const web = identity('web', {
			shares: [{ address: VIP, port: 443, protocol: 'tcp' }],
			serves: [{ address: SERVICE, port: 80, protocol: 'tcp', to: 8080, sticky: false }],
			privateLocalhost: true,
		});
		await on.net.addContainer(web);
		const server = await on.serve('web', '::', 8080);
		await isFoundAndMended(on, web, OF_IDENTITY);
		const call = { call: 'connect', type: 'tcp', to: SERVICE, port: 80 } as const;
		expect(await on.calls('web', [call])).toEqual([
			{ seen: '2001:db8:0:2::10', local: '2001:db8:0:2::10', peer: SERVICE },
		]);
		await server.kill();
		await on.net.removeContainer('web');
		expect(await on.state.differences(before)).toEqual({});
	});

	test('of an uplink that is gone', turn(2), async ({ lab, requires }) => {
		await requires('veth');
		const { net, vm, pathproof } = await scene(lab);
		await net.addContainer(request('web', { device: 'veth', forward: 'redirect' }));
		await vm.exec(['ip', 'link', 'del', 'dev', 'eth0']);
		const { code, stdout } = await pathproof(['net', 'check', '--json']);
		expect(code).toBe(1);
		const { ok, findings } = netCheckDocument.parse(JSON.parse(stdout));
		expect({ ok, what: findings.map(({ what }) => what) }).toEqual({
			ok: false,
			what: expect.arrayContaining(['its uplink eth0']),
		});
		await net.removeContainer('web');
		expect(await net.checkHost()).toEqual([]);
	});
});

test('an address that the host is given later is no way beyond it, once net gc has told the programs', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('veth');
	const { net, vm, done } = await scene(lab);
	await net.addContainer(request('web', { device: 'veth', forward: 'redirect' }));
	const LATER = '2001:db8:0:1::99';
	await vm.exec(['ip', 'addr', 'add', `${LATER}/64`, 'dev', 'eth0', 'nodad']);
	const answered = async () =>
		(await vm.exec(['ping', '-c1', '-W2', LATER], { netns: 'web', reject: false })).code === 0;
	expect(await answered()).toBe(false);
	expect(await net.checkHost()).toMatchObject([
		{ what: 'the addresses of the host', found: `the programs do not know ${LATER}`, hint: 'pathproof net gc' },
	]);
	expect(await done(['net', 'gc'])).toBe('this host is clean\n');
	expect(await answered()).toBe(true);
	await vm.exec(['ip', 'addr', 'del', `${LATER}/64`, 'dev', 'eth0']);
	expect(await net.checkHost()).toMatchObject([{ found: 'they know 1 that it has no more' }]);
	await done(['net', 'gc']);
	expect(await net.checkHost()).toEqual([]);
});

test('a second uplink that is down is found, and no reason to refuse a container', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const { net, vm, state, reaches } = await scene(lab);
	const set = (where: 'up' | 'down') => vm.exec(['ip', 'link', 'set', 'dev', 'eth1', where]);
	await vm.exec(['ip', 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'beyond']);
	// one that was up once has a qdisc
	await set('up');
	await set('down');
	const before = await state.hostState();
	const web = request('web', { device: 'veth', forward: 'fib' });
	await net.addContainer({ ...web, uplinks: [UPLINK, { device: 'eth1', ipv6NextHop: 'fe80::2' }] });
	expect((await net.checkHost()).map(({ what, hint }) => [what, hint])).toEqual([
		['its uplink eth1', 'ip link set dev eth1 up'],
	]);
	await reaches('web');
	await set('up');
	expect(await net.checkHost()).toMatchObject([
		{ what: 'the routes by uplinks', expected: expect.stringMatching(/^::\/0 via fe80::2 dev eth1 table \d+$/) },
	]);
	await net.collectGarbage();
	expect(await net.checkHost()).toEqual([]);
	await set('down');
	await net.removeContainer('web');
	expect(await state.differences(before)).toEqual({});
});

test('a map that another version has pinned is told of, and nothing is begun', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const { net, vm, state } = await scene(lab);
	const [web, api] = (['web', 'api'] as const).map((name) => request(name, { device: 'veth', forward: 'redirect' }));
	await net.addContainer(web!);
	const map = `${PINS}/maps/allowed`;
	await vm.exec([
		'sh',
		'-ec',
		`rm ${map}; bpftool map create ${map} type hash key 32 value 8 entries 64 name allowed flags 1`,
	]);
	const before = await state.hostState();
	await expect(net.addContainer(api!)).rejects.toThrow(
		`the map allowed was pinned by another version of pathproof
${map} has keys of 32 bytes and values of 8, and this version keys of 32 bytes and values of 1`,
	);
	expect(await state.differences(before)).toEqual({});
});

test('net gc takes away what nobody needs, and nothing else', { tags: [FULL], timeout: 600_000 }, async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const { net, vm, state, done, reaches } = await scene(lab);
	const [web, api] = (['web', 'api'] as const).map((name) => request(name, { device: 'veth', forward: 'redirect' }));
	await net.addContainer(api!);
	const before = await state.hostState();
	await net.addContainer(web!);
	expect(await done(['net', 'gc'])).toBe('there is nothing to take away\n');
	await vm.exec([
		'sh',
		'-ec',
		`ip link del dev web; mkdir -p ${PINS}-new/programs; bpftool map update pinned ${PINS}/maps/allowed key hex $(printf '61 %.0s' $(seq 32)) value hex 01`,
	]);
	const dry = JSON.parse(await done(['net', 'gc', '--dry-run', '--json'])) as { steps: string[] };
	expect(dry.steps).toEqual(
		expect.arrayContaining([
			`rm -r ${PINS}-new`,
			'record that web is being removed',
			'ip netns del web',
			'allowed: delete rows of tenants that no container allows',
		]),
	);
	expect(JSON.parse(await done(['net', 'gc', '--json']))).toEqual({ ...dry, dryRun: false, changed: true });
	expect(await state.differences(before)).toEqual({});
	expect(await net.checkHost()).toEqual([]);
	await reaches('api');
});
