import { buildProgram, expect, test, type Vm } from 'pathproof';
import { keyOf } from '../../kernels/cache.ts';
import type { PoolVm } from '../../kernels/client.ts';
import { WIRES } from '../../kernels/wire.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

const [HOST, PEER] = ['2001:db8::1', '2001:db8::2'];
const [TAGGED_HOST, TAGGED_PEER] = ['2001:db8:5::1', '2001:db8:5::2'];

/** Both ends up and able to reach each other, plainly and by VLAN 5; the peer's in a netns of its own. */
const CONNECT = [
	'ip netns add peer',
	'ip link set $peer netns peer name eth0',
	'ip link set $host name uplink',
	'ip link add link uplink name tagged type vlan id 5',
	'ip -n peer link add link eth0 name tagged type vlan id 5',
	...['uplink', 'tagged'].map((device) => `ip link set ${device} up`),
	...['lo', 'eth0', 'tagged'].map((device) => `ip -n peer link set ${device} up`),
	`ip addr add ${HOST}/64 dev uplink nodad`,
	`ip addr add ${TAGGED_HOST}/64 dev tagged nodad`,
	`ip -n peer addr add ${PEER}/64 dev eth0 nodad`,
	`ip -n peer addr add ${TAGGED_PEER}/64 dev tagged nodad`,
	// Known neighbours: what a test sees missing is then the packet and not its solicitation.
	`ip neigh add ${PEER} dev uplink lladdr ${WIRES[0].peer}`,
	`ip neigh add ${TAGGED_PEER} dev tagged lladdr ${WIRES[0].peer}`,
	`ip -n peer neigh add ${HOST} dev eth0 lladdr ${WIRES[0].host}`,
	`ip -n peer neigh add ${TAGGED_HOST} dev tagged lladdr ${WIRES[0].host}`,
].join(' && ');

async function connect(vm: Vm): Promise<void> {
	const [host, peer] = await Promise.all([deviceOf(vm, WIRES[0].host), deviceOf(vm, WIRES[0].peer)]);
	await vm.exec(['sh', '-c', CONNECT], { env: { host: host!, peer: peer! } });
}

/** The name of the device in the initial netns that has this address. */
async function deviceOf(vm: Vm, mac: string): Promise<string | undefined> {
	const links = JSON.parse((await vm.exec(['ip', '-j', 'link'])).stdout) as { ifname: string; address: string }[];
	return links.find(({ address }) => address === mac)?.ifname;
}

async function answers(vm: Vm, address: string): Promise<boolean> {
	return (await vm.exec(['ping', '-c1', '-W2', address], { reject: false })).code === 0;
}

const WIRED = ['virtio-net', 'vlan'] as const;

/** `test`, with a guest whose wire was connected before its snapshot. */
const wired = test.extend(
	'wired',
	({ forks, pool, kernel, requires }) =>
		async (profile?: 'exact'): Promise<PoolVm> => {
			await requires(...WIRED);
			const machine = {
				kernel: kernel.request,
				profile,
				nics: 2,
				lab: keyOf('a connected wire', CONNECT, WIRES),
			} as const;
			await pool.ensureLab({ ...machine, what: 'a connected wire', build: connect });
			return forks.take(machine);
		},
);

test('a guest is given the wire that it asked for, or told why its kernel can have none', async ({ forks, kernel }) => {
	const asked = forks.take({ kernel: kernel.request, nics: 2 });
	if (kernel.tier === 'image') {
		await expect(asked).rejects.toMatchObject({ name: 'PathproofError', stage: 'call', kernel: kernel.id });
		await expect(asked).rejects.toThrow(/cannot have NICs, as it lacks virtio_net/);
		return;
	}
	const vm = await asked;
	const [{ host, peer }] = WIRES;
	expect([await deviceOf(vm, host), await deviceOf(vm, peer)]).toEqual(['eth0', 'eth1']);
});

test('a second wire is apart from the first', { tags: [FULL] }, async ({ forks, kernel, requires }) => {
	await requires('virtio-net');
	const vm = await forks.take({ kernel: kernel.request, nics: 4 });
	const names = await Promise.all(WIRES.flatMap(({ host, peer }) => [deviceOf(vm, host), deviceOf(vm, peer)]));
	expect(names).toEqual(['eth0', 'eth1', 'eth2', 'eth3']);
	await vm.exec(['sysctl', 'net.ipv6.conf.all.disable_ipv6=1']); // nobody speaks unasked
	for (const name of names) await vm.exec(['ip', 'link', 'set', name!, 'up']);
	await vm.exec(['ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth2']);
	await answers(vm, '192.0.2.2'); // it is asked for, and there is none
	const heard = async (name: string) => Number(await vm.readFile(`/sys/class/net/${name}/statistics/rx_packets`));
	expect(await Promise.all(['eth0', 'eth1', 'eth2'].map(heard))).toEqual([0, 0, 0]);
	expect(await heard('eth3')).toBeGreaterThan(0);
});

test('a guest that asked for none has none', async ({ vm }) => {
	expect((await vm.exec(['ls', '/sys/class/net'])).stdout).toBe('lo\n');
	expect((await vm.exec(['lsmod'])).stdout).not.toContain('virtio_net');
});

wired('what one end sends the other receives, in every fork of the lab', turn(0, ...WIRED), async ({ wired }) => {
	const forks = await Promise.all([wired(), wired()]);
	expect(await Promise.all(forks.map((vm) => answers(vm, PEER)))).toEqual([true, true]);
});

wired(
	'a fork finds its wire silent: nobody tells the other end that it moved',
	turn(1, ...WIRED),
	async ({ wired }) => {
		const vm = await wired();
		await vm.exec(['sleep', '1']); // QEMU would tell it five times within half a second, by RARP, which the kernel drops
		const [link] = JSON.parse((await vm.exec(['ip', '-j', '-s', 'link', 'show', 'uplink'])).stdout);
		expect(link.stats64.rx.dropped).toBe(0);
	},
);

wired(
	"a long segment is cut up, and its checksums filled in, by the guest's own kernel",
	turn(2, ...WIRED),
	async ({ wired }) => {
		const vm = await wired();
		await vm.exec(['ip', 'netns', 'exec', 'peer', 'ethtool', '-K', 'eth0', 'gro', 'off']); // it would join them again
		await using sink = await vm.spawn(['socat', '-u', '-dd', 'TCP6-LISTEN:7', 'OPEN:/dev/null'], { netns: 'peer' });
		await sink.waitFor(/listening on/);
		const tcpdump = 'tcpdump --immediate-mode -lnvi eth0 -c 40 tcp dst port 7 and greater 1000';
		await using watch = await vm.spawn(tcpdump.split(' '), { netns: 'peer' });
		await watch.waitFor(/listening on/);
		await vm.exec(['sh', '-c', `head -c 200000 /dev/zero | socat -u - TCP6:[${PEER}]:7`]);
		const { stdout } = await watch.ended;
		const payload = Array.from(stdout.matchAll(/payload length: (\d+)/g), ([, bytes]) => Number(bytes));
		expect(Math.max(...payload)).toBe(1460); // a frame of 1514 bytes, less those of Ethernet and IPv6
		const sums = Array.from(stdout.matchAll(/cksum 0x\w+ \((\w+)/g), ([, verdict]) => verdict);
		expect(sums).toEqual(Array(40).fill('correct'));
	},
);

wired('native XDP sees the frame as it was on the wire, with its VLAN tag', turn(3, ...WIRED), async ({ wired }) => {
	const vm = await wired();
	await vm.writeFile('/tmp/tagged-only.bpf.o', await buildProgram('fixtures/tagged-only.bpf.c'));
	expect([await answers(vm, PEER), await answers(vm, TAGGED_PEER)]).toEqual([true, true]);
	const attach = 'ip -n peer link set dev eth0 xdpdrv obj /tmp/tagged-only.bpf.o sec xdp';
	await vm.exec(attach.split(' '));
	expect([await answers(vm, PEER), await answers(vm, TAGGED_PEER)]).toEqual([false, true]);
});

wired(
	"a frame for another's address arrives, and its drop is the kernel's to tell",
	turn(4, ...WIRED),
	async ({ wired }) => {
		const vm = await wired();
		await vm.exec(['ip', 'neigh', 'replace', PEER, 'dev', 'uplink', 'lladdr', '02:00:5e:00:53:ff']);
		// -p: tcpdump asks for no frames that the kernel would not get anyway
		await using watch = await vm.spawn(['tcpdump', '--immediate-mode', '-lnpi', 'eth0', 'icmp6'], { netns: 'peer' });
		await watch.waitFor(/listening on/);
		expect(await answers(vm, PEER)).toBe(false);
		await watch.waitFor(new RegExp(`${HOST} > ${PEER}: ICMP6, echo request`));
	},
);

const CLOCK = 'in the exact profile a frame takes its time by the clock of its guest, however busy the machine is';

wired(CLOCK, { tags: [FULL] }, async ({ wired }) => {
	for (const vm of await Promise.all([wired('exact'), wired('exact')])) {
		await answers(vm, PEER); // reads its program from the disk, which is as fast as the machine's
		const { stdout } = await vm.exec(['ping', '-c50', '-i0.01', PEER]);
		const times = Array.from(stdout.matchAll(/time=([\d.]+)/g), ([, ms]) => Number(ms)).sort((a, b) => a - b);
		// There and back 150 us each, and what the kernel and ping take; a few share their time with another program.
		expect(times[25]).toBeGreaterThan(0.3);
		expect(times[25]).toBeLessThan(0.34);
	}
});
