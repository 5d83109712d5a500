/** The host's programs, as a container's owner finds them: out of reach, and none the weaker for what the owner puts beside them. */
import { buildProgram, type Device, expect, type Lab, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { addressBytes, PROTOCOL } from '../support/frames.ts';
import { callBpf, listenOn } from '../support/sender.ts';
import { Arena, arenaRequest, DEVICES } from './arena.ts';
import { SOURCES } from './sources.ts';

const SPOOF = SOURCES.find(({ title }) => title.includes("another container's IPv6 address"))!;

/** The guard is what it was: the attack that shows it ends where it did, and what the container may do goes on. */
async function isGuarded(arena: Arena): Promise<void> {
	await arena.repel(SPOOF, 0);
	const { web, peer } = arena.lab;
	expect.soft((await web.exec(['ping', '-c1', '-W5', peer.ipv6], { reject: false })).code, 'its own packets').toBe(0);
}

/** What its owner types, and what they are told; null: it is done, and does not help. */
interface Attempt {
	title: string;
	command: string;
	told: RegExp | null;
	/** takes back what was done */
	undo?: string;
	on?: (device: Device) => boolean;
}

const ATTEMPTS: readonly Attempt[] = [
	{
		title: 'remove the clsact qdisc',
		command: 'tc qdisc del dev eth0 clsact',
		told: /Cannot find specified qdisc|Invalid handle|Invalid argument|No such file/,
	},
	{
		title: 'remove filters of the ingress and egress hooks',
		command: 'tc filter del dev eth0 ingress; tc filter del dev eth0 egress',
		told: /Parent Qdisc doesn't exist|Cannot find|Invalid argument|No such file/,
	},
	{
		title: 'put a filter of their own before everything',
		command: 'tc qdisc add dev eth0 clsact && tc filter add dev eth0 egress prio 1 bpf da bytecode "1,6 0 0 0,"',
		told: null,
		undo: 'tc qdisc del dev eth0 clsact',
	},
	{
		title: 'delay and duplicate with a qdisc of their own',
		command: 'tc qdisc replace dev eth0 root netem delay 1ms',
		told: null,
		undo: 'tc qdisc del dev eth0 root',
	},
	{
		title: 'switch XDP off',
		command: 'ip link set dev eth0 xdp off && ip link set dev eth0 xdpgeneric off',
		told: null,
	},
	{
		title: 'detach programs by bpftool',
		command: 'bpftool net detach tcx_egress dev eth0',
		told: /./,
	},
	{
		title: 'see, let alone detach, the links',
		command: 'bpftool link show',
		told: /Operation not permitted/,
	},
	{
		title: 'unpin the programs',
		command: 'rm -r /sys/fs/bpf/pathproof',
		told: /Permission denied|No such file/,
	},
	{
		title: 'load a program of their own',
		command: 'bpftool prog load /run/witness.o /sys/fs/bpf/mine',
		told: /Operation not permitted|Permission denied|EPERM/,
	},
	{
		title: 'mount a bpffs that shows the host’s pins',
		command: 'mount -t bpf bpf /mnt',
		told: /permission denied|must be superuser|Operation not permitted/,
	},
	{
		title: "change the netkit pair's policy",
		command: 'ip link set dev eth0 type netkit forward',
		told: /Permission denied|primary|Operation not permitted/,
		on: (device) => device.startsWith('netkit'),
	},
	{
		title: "change the netkit pair's mode",
		command: 'ip link set dev eth0 type netkit mode l2',
		told: /Permission denied|primary|Operation not permitted|cannot be changed/,
		on: (device) => device.startsWith('netkit'),
	},
	{
		title: 'take the slave out of its private mode',
		command: 'ip link set dev eth0 type ipvlan bridge',
		told: /Operation not permitted/,
		on: (device) => device.startsWith('ipvlan'),
	},
];

/** enum bpf_cmd and enum bpf_attach_type of linux/bpf.h */
const BPF = { objGet: 7, progDetach: 9, progGetFdById: 13, linkGetFdById: 30, linkDetach: 34 } as const;
const HOOKS = { tcxIngress: 46, tcxEgress: 47, netkitPrimary: 54, netkitPeer: 55 } as const;

function words(...values: number[]): Buffer {
	const attr = Buffer.alloc(48);
	for (const [index, value] of values.entries()) attr.writeUInt32LE(value, 4 * index);
	return attr;
}

for (const { device, forward, needs, tags } of DEVICES) {
	test(`the owner of a container on ${device} cannot remove, replace or outrun the host's programs`, {
		tags: [FULL],
		timeout: 300_000,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const arena = await Arena.open(await lab(arenaRequest(device, forward, true)));
		const { web, vm } = arena.lab;
		await vm.writeFile('/run/witness.o', await buildProgram('fixtures/witness.bpf.c'));
		for (const { title, command, told, undo, on } of ATTEMPTS) {
			if (on && !on(device)) continue;
			const { code, stderr, stdout } = await web.tenant(['sh', '-c', command], { reject: false });
			if (told === null) expect.soft({ code, stderr }, title).toEqual({ code: 0, stderr: '' });
			else expect.soft(`${stderr}${stdout}`, title).toMatch(told);
			if (told !== null) expect.soft(code, title).not.toBe(0);
			else await isGuarded(arena);
			if (undo) await web.tenant(['sh', '-c', undo]);
		}
		const inside = Number((await web.exec(['cat', '/sys/class/net/eth0/ifindex'])).stdout);
		for (const [hook, type] of Object.entries(HOOKS))
			for (const ifindex of [inside, ...(await hostIndexes(arena.lab))]) {
				// without a program: of those attached without a link any process could once remove one (CVE-2026-45932)
				const error = await callBpf(web, BPF.progDetach, words(ifindex, 0, type));
				expect.soft(error, `detach from ${hook} of device ${ifindex}`).not.toBeNull();
			}
		for (let id = 1; id < 12; id++) {
			expect.soft(await callBpf(web, BPF.linkGetFdById, words(id)), `link ${id}`).toMatch(/^(EPERM|ENOENT)$/);
			expect.soft(await callBpf(web, BPF.progGetFdById, words(id)), `program ${id}`).toMatch(/^(EPERM|ENOENT)$/);
		}
		expect.soft(await callBpf(web, BPF.linkDetach, words(0xffffffff))).toMatch(/^(EBADF|EPERM)$/);
		await isGuarded(arena);
	});

	test(`a program of the owner's on ${device} that forges sources is judged by what it makes of them`, {
		tags,
	}, async ({ lab, requires }) => {
		await requires(...needs);
		const { web, api, peer, vm } = await lab(arenaRequest(device, forward, true));
		await vm.writeFile('/run/forger.o', await buildProgram('fixtures/forger.bpf.c'));
		const ear = await listenOn(vm, 'peer', 'eth0');
		const pings = async () => (await web.exec(['ping', '-c1', '-W1', peer.ipv6], { reject: false })).code === 0;
		expect(await pings()).toBe(true);
		// Behind all that the host has on the device. Such a program cannot be loaded from inside: it is attached for its owner.
		const filter = 'tc filter add dev eth0 egress bpf da obj /run/forger.o sec tc';
		await web.exec(['sh', '-c', `tc qdisc add dev eth0 clsact && ${filter}`]);
		expect(await pings()).toBe(false);
		const echoes = (await ear.heard()).filter((frame) => frame[20] === PROTOCOL.icmpv6 && frame[54] === 128);
		expect(echoes.map((frame) => frame.subarray(22, 38))).toEqual([addressBytes(web.ipv6)]);
		expect(api.ipv6).toBe('2001:db8:0:2::11');
	});
}

async function hostIndexes({ host }: Lab): Promise<number[]> {
	const links = JSON.parse((await host.exec(['ip', '-j', 'link'])).stdout) as { ifindex: number }[];
	return links.map(({ ifindex }) => ifindex);
}
