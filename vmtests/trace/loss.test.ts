/** The tracer misses nothing in silence: what it could not take is counted, and no claim holds over it. */
import { expect, type Lab, type Node, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

const LOST = /^\d+ events were lost, so nothing can be said of this trace/;

test(
	'a ring buffer of 4 KiB is too small for a flood, and no claim about its trace holds',
	turn(2),
	async ({ lab }) => {
		const { web, peer, trace } = await lab({ ringBytes: 4096 });
		const flood = await trace({ protocol: 'icmp' }, () => web.exec(['ping', '-6', '-q', '-f', '-c', '200', peer.ipv6]));
		expect(flood.packets[0]!.lostEvents).toBeGreaterThan(0);
		expect(() => expect(flood).toTraverse('web:eth0 xmit')).toThrow(LOST);
		expect(() => expect(flood).not.toTraverse('host netfilter forward')).toThrow(LOST);
		expect(() => expect(flood).toFollowPath(path`web:eth0 xmit, …`)).toThrow(LOST);
		expect(() => expect(flood).toBeAccountedFor()).toThrow(LOST);
	},
);

/** Segments of one packet's size each: with the offloads of veth, 10 MB are a few hundred. */
async function withoutOffloads(...nodes: Node[]): Promise<void> {
	for (const node of nodes) await node.exec(['ethtool', '-K', 'eth0', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
}

const DEVICES = [
	{ device: 'veth', needs: 'veth' },
	{ device: 'netkit', needs: 'netkit' },
] as const;

for (const { device, needs } of DEVICES) {
	test(`10,000 packets of iperf3 and netperf through ${device} are accounted for, to the last one`, {
		tags: [FULL],
	}, async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer, trace } = await lab({ device, forward: 'redirect' });
		await withoutOffloads(web, peer);
		await using _netserver = await peer.spawn(['netserver', '-6', '-D', '-p', '12865']);
		await peer.listening('t', 12865);
		const bulk = await trace({ protocol: 'tcp' }, () => web.iperf3(peer, { megabytes: 8 }));
		expect(bulk).toBeAccountedFor();
		const requests = await trace({ protocol: 'tcp' }, () =>
			web.exec(['netperf', '-6', '-H', peer.ipv6, '-t', 'TCP_RR', '-l', '-2500', '-P', '0']),
		);
		expect(requests).toBeAccountedFor();
		expect(bulk.packets.length + requests.packets.length).toBeGreaterThan(10_000);
		const reached = (direction: 'out' | 'in', payload: (bytes: number) => boolean) =>
			requests[direction].filter(({ events, fate }) => fate === 'delivered' && payload(events[0]!.payload)).length;
		expect(reached('out', (bytes) => bytes === 1)).toBe(2500);
		expect(reached('in', (bytes) => bytes === 1)).toBe(2500);
	});
}

test('a trace changes nothing: what is delivered and what the kernel counts are the same where no tracer is', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('veth');
	const traced = await lab({ device: 'veth', forward: 'redirect' });
	const trace = await traced.trace({}, () => sendSome(traced));
	expect(trace.out.filter(({ packet }) => packet.protocol === 'udp')).toBeAccountedFor({ delivered: 20 });
	expect(trace.packets.filter(({ packet }) => packet.protocol === 'icmp')).toBeAccountedFor({ delivered: 200 });
	const untraced = await lab({ device: 'veth', forward: 'redirect', tracer: false });
	await sendSome(untraced);
	expect(await counters(traced)).toEqual(await counters(untraced));
});

/** ICMP with answers, and datagrams: of these every packet is sent just once, however slow the machine. */
async function sendSome({ web, peer }: Lab): Promise<void> {
	await web.exec(['ping', '-6', '-q', '-i', '0.01', '-c', '100', '-s', '1000', peer.ipv6]);
	await using listener = await peer.spawn(['socat', '-u', '-dd', 'UDP6-RECV:53', '/dev/null']);
	await listener.waitFor(/starting data transfer loop/);
	await web.exec(['socat', '-u', '-b', '100', '-', `UDP6-SENDTO:${peer.literal(6)}:53`], { input: Buffer.alloc(2000) });
}

/** Of what was sent, and of what goes wrong. The rest counts the link's own talk as well, which comes when it comes. */
const COUNTED = /^(?:Udp6(?:In|Out)Datagrams|Icmp6(?:In|Out)Echo\w*|Ip6(?:In|Out)NoRoutes|\w+Errors)\s+\d+$/;

async function counters({ web, host, peer }: Lab): Promise<object[]> {
	return Promise.all(
		[web, host, peer].map(async (node) => {
			const links = await node.exec(['ip', '-s', '-json', 'link', 'show']);
			const devices = JSON.parse(links.stdout) as { ifname: string; stats64: { rx: Received } }[];
			const stack = await node.exec(['cat', '/proc/net/snmp6']);
			return {
				devices: devices.map(({ ifname, stats64: { rx } }) => [ifname, rx.dropped, rx.errors]),
				stack: stack.stdout.split('\n').filter((line) => COUNTED.test(line)),
			};
		}),
	);
}

interface Received {
	dropped: number;
	errors: number;
}
