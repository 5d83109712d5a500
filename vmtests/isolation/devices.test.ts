/** What a container's owner does to their own device, and tries on the host's by netlink: none of it is a way round the guard. */
import { expect, test } from 'pathproof';
import type { ContainerView } from '../../impl/net.ts';
import { addCommand } from '../../impl/state/words.ts';
import { FULL } from '../support/config.ts';
import { udp } from '../support/frames.ts';
import { Arena, arenaRequest, DEVICES, PORT } from './arena.ts';
import { inNested } from './nested.ts';
import { SOURCES } from './sources.ts';

/** So many that what the kernel says itself of a device that comes up is told from them. */
const ECHOES = 20;
const echo = `ping -c${ECHOES} -i0.01 -W1`;
/** An address that no slave of the uplink has: another's is refused to ipvlan's. */
const NOBODY = '2001:db8:bad::1';

const SPOOF = SOURCES.find(({ title }) => title.includes("another container's IPv6 address"))!;

/** What the kernel says to it, or ip, which opens /proc/1/ns/net first and may not. */
const NOT_THE_HOSTS = /Operation not permitted|Invalid "netns" value/;

/** Refused by the kernel, all of it. */
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
	['move the own device into the host’s netns', 'ip link set dev eth0 netns 1', NOT_THE_HOSTS],
	['enter the host’s netns', 'nsenter --net=/proc/1/ns/net ip link', /Operation not permitted|Permission denied/],
	[
		'enter another container’s netns',
		'nsenter --net=/run/netns/api ip link',
		/Operation not permitted|Permission denied/,
	],
	['take over the netns of another by its name', 'ip -n api link', /Operation not permitted|Permission denied/],
	['make a device in the host’s netns', 'ip link add mine netns 1 type dummy', NOT_THE_HOSTS],
	[
		'make a pair with one end in the host’s netns',
		'ip link add mine type veth peer name theirs netns 1',
		NOT_THE_HOSTS,
	],
	[
		'make a slave of the host’s uplink',
		'for id in 0 1 2 3; do ip link add mine link-netnsid $id link 2 type ipvlan && exit; done; false',
		/Operation not permitted|Invalid|No such device|Cannot find|Not supported|Unknown/,
	],
	[
		'ask for the host’s devices by the id of its netns',
		'for id in 0 1 2 3; do ip link show target-netnsid $id 2>&1 | grep -w web && exit; done; echo Operation not permitted >&2; false',
		/Operation not permitted/,
	],
	['write the host’s settings', 'echo 1 > /proc/sys/kernel/panic', /Permission denied|cannot create/],
	[
		'enter the host’s user namespace',
		'nsenter --user=/proc/1/ns/user true',
		/Operation not permitted|Permission denied|Invalid argument/,
	],
];

/** What an owner puts over eth0, named `top`; and what the kernel says where it takes none such over a slave of ipvlan, or over what has no MAC. */
const OVER: readonly { title: string; make: string; onSlave: RegExp; withoutMac?: RegExp }[] = [
	{
		title: 'from a VLAN over it',
		make: 'ip link add link eth0 name top type vlan id 5',
		onSlave: /VLANs not supported/,
		withoutMac: /Cannot assign requested address/,
	},
	{
		title: 'from a macvlan device over it',
		make: 'ip link add link eth0 name top type macvlan mode bridge',
		onSlave: /Invalid argument/,
	},
	{
		title: 'from an ipvlan device over it',
		make: 'ip link add link eth0 name top type ipvlan mode l2',
		onSlave: /Operation not permitted/,
	},
	{
		title: 'from a bridge that it is a port of',
		make: 'ip link add top type bridge\nip link set eth0 master top',
		onSlave: /Invalid argument/,
		withoutMac: /Invalid argument/,
	},
];

for (const { device, forward, needs } of DEVICES) {
	const tags = [FULL];
	test(`a container on ${device} is kept out of the host's netns, its neighbour's, and their settings`, {
		tags,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const { web } = await lab(arenaRequest(device, forward, true));
		for (const [title, command, told] of REFUSED) {
			const { code, stderr } = await web.tenant(['sh', '-c', command], { reject: false });
			expect.soft(stderr, title).toMatch(told);
			expect.soft(code, title).not.toBe(0);
		}
	});

	test(`whatever a container on ${device} does to its device, it sends from its own address alone`, {
		tags,
		timeout: 300_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const arena = await Arena.open(await lab(arenaRequest(device, forward, true)));
		const { web, api, host, peer } = arena.lab;
		const tenant = (command: string) => web.tenant(['sh', '-c', command], { reject: false });
		const drops = async () => (await arena.lab.drops()).reduce((all, { count }) => all + count, 0);
		/** None is answered, and each is dropped. `refused`: the kernel does not go so far. */
		const from = async (title: string, command: string, refused?: RegExp) => {
			const before = await drops();
			const { code, stderr } = await tenant(`set -e\n${command}`);
			if (refused) {
				expect.soft(code, title).not.toBe(0);
				expect.soft(stderr, title).toMatch(refused);
				return;
			}
			// ping's for no answer
			expect.soft(code, `${title} ${stderr}`).toBe(1);
			expect.soft((await drops()) - before, `${title} ${stderr}`).toBeGreaterThanOrEqual(ECHOES);
		};
		const isSlave = device.startsWith('ipvlan');
		const forged = isSlave ? NOBODY : api.ipv6;
		// to its own MAC address, which devices of layer 3 all have, ipvlan sends nothing
		const to = device === 'netkit-l3' ? '02:00:00:00:00:02' : arena.macs.gateway;
		const neighbour = (address: string, on: string) =>
			`ip neigh replace ${address} lladdr ${to} dev ${on} nud permanent`;
		await from(
			'by an address of another container’s that it gave itself',
			`ip addr add ${api.ipv6}/128 dev eth0 nodad\n${echo} -I ${api.ipv6} ${peer.ipv6}`,
			isSlave ? /already assigned to an ipvlan device/ : undefined,
		);
		await from(
			'by an IPv4 address of the host’s on its lo',
			[
				`ip addr add ${host.ipv4}/32 dev lo`,
				...(isSlave ? [neighbour(peer.ipv4, 'eth0')] : []),
				`${echo} -I ${host.ipv4} ${peer.ipv4}`,
			].join('\n'),
		);
		await tenant(`ip addr del ${api.ipv6}/128 dev eth0; ip addr del ${host.ipv4}/32 dev lo`);
		for (const { title, make, onSlave, withoutMac } of OVER) {
			const send = [
				'ip link set top up',
				`ip addr add ${api.ipv6}/128 dev top nodad`,
				neighbour(peer.ipv6, 'top'),
				`ip route replace ${peer.ipv6}/128 dev top`,
				`${echo} -I ${api.ipv6} ${peer.ipv6}`,
			];
			const refused = isSlave ? onSlave : device === 'netkit-l3' ? withoutMac : undefined;
			await from(title, [make, ...send].join('\n'), refused);
			await tenant(`ip link del top; ip route del ${peer.ipv6}/128`);
		}
		const before = await drops();
		const forwarded = await inNested(web, api.ipv6, `${echo} ${peer.ipv6}`);
		expect.soft(forwarded.code, 'forwarded from a netns inside').toBe(1);
		expect.soft((await drops()) - before, 'forwarded from a netns inside').toBeGreaterThanOrEqual(ECHOES);
		const sendBy = (name: string) => [
			`ip link set ${name} up`,
			`ip addr add ${forged}/128 dev ${name} nodad`,
			`ip route add ${peer.ipv6}/128 dev ${name}`,
			neighbour(peer.ipv6, name),
			`${echo} -I ${forged} ${peer.ipv6}`,
		];
		await from(
			'under another name',
			['ip link set eth0 down', 'ip link set eth0 name mine', ...sendBy('mine')].join('\n'),
		);
		await tenant('ip link set mine down && ip link set mine name eth0 && ip link set eth0 up');
		// with another index: the host's programs stay where they are
		await from(
			'from a netns of its own making',
			[
				'unshare -n sleep 60 >/dev/null 2>&1 & pid=$!',
				'trap "kill $pid" EXIT',
				'until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done',
				'ip link set dev eth0 netns $pid',
				`nsenter -t $pid -n sh -ec '${sendBy('eth0').join('\n')}'`,
			].join('\n'),
		);
	});

	test(`a container on ${device} that deletes its device is cut off, others are not, and it can be had again`, {
		tags,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const made = await lab(arenaRequest(device, forward, true));
		const { web, api, host, peer } = made;
		const net = (command: string) =>
			host.exec(['pathproof', 'net', ...command.split(' ')], { reject: false, timeout: 60_000 });
		const { spec } = JSON.parse((await net('show web --json')).stdout) as ContainerView;
		await web.tenant(['ip', 'link', 'del', 'eth0']);
		expect((await web.exec(['ping', '-c1', '-W1', peer.ipv6], { reject: false })).code).not.toBe(0);
		expect((await api.exec(['ping', '-c1', '-W5', peer.ipv6], { reject: false })).code).toBe(0);
		if (!device.startsWith('ipvlan'))
			expect((await host.exec(['ip', 'link', 'show', 'web'], { reject: false })).stderr).toContain('does not exist');
		// another one of that name is not what was asked for
		for (const make of ['true', 'ip link add eth0 type dummy && ip link set eth0 up']) {
			await web.tenant(['sh', '-c', make]);
			const check = await net('check --json');
			expect(check.code).toBe(1);
			expect(check.stdout).toContain('"web"');
		}
		expect(await net('rm web')).toMatchObject({ code: 0 });
		expect(await net('check')).toMatchObject({ code: 0 });
		await web.tenant(['ip', 'link', 'del', 'eth0'], { reject: false });
		expect(await net(addCommand(spec).replace('pathproof net ', ''))).toMatchObject({ code: 0 });
		expect((await web.exec(['ping', '-c1', '-W5', peer.ipv6], { reject: false })).code).toBe(0);
		await (await Arena.open(made)).repel(SPOOF, 0);
		expect((await api.exec(['ping', '-c1', '-W5', peer.ipv6], { reject: false })).code).toBe(0);
	});
}

test('a container that gives its device another MAC and a larger MTU is guarded as before', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const arena = await Arena.open(await lab(arenaRequest('veth', 'redirect', true)));
	await arena.repel(SPOOF, 0);
	await arena.lab.web.tenant(['sh', '-c', 'ip link set eth0 mtu 9000 address 02:00:00:00:77:77']);
	await arena.repel(SPOOF, 0);
	const { web, peer } = arena.lab;
	// its frames still go to the host's end, and the host's to a MAC that it no longer has: its own doing
	const own = {
		...SPOOF,
		title: 'from another’s address, in a jumbo frame: more than the host’s end of the pair takes',
		verdict: [],
		shots: (here: Arena) => [
			here.frame({ source: here.lab.api.ipv6, destination: peer.ipv6, transport: udp(PORT, PORT, Buffer.alloc(5000)) }),
		],
	};
	await arena.repel(own, 1);
	expect((await web.exec(['ip', 'link', 'show', 'eth0'])).stdout).toContain('mtu 9000');
});
