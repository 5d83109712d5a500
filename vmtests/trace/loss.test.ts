/** The tracer misses nothing in silence: what it could not take is counted, and no claim holds over it. */
import { expect, type Node, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';

const LOST = /^\d+ events were lost, so nothing can be said of this trace/;

test('a ring buffer of 4 KiB is too small for a flood, and no claim about its trace holds', async ({ lab }) => {
	const { web, peer, trace } = await lab({ ringBytes: 4096 });
	const flood = await trace({ protocol: 'icmp' }, () => web.exec(['ping', '-6', '-q', '-f', '-c', '200', peer.ipv6]));
	expect(flood.packets[0]!.lostEvents).toBeGreaterThan(0);
	expect(() => expect(flood).toTraverse('web:eth0 xmit')).toThrow(LOST);
	expect(() => expect(flood).not.toTraverse('host netfilter forward')).toThrow(LOST);
	expect(() => expect(flood).toFollowPath(path`web:eth0 xmit, …`)).toThrow(LOST);
	expect(() => expect(flood).toBeAccountedFor()).toThrow(LOST);
});

/** Segments of one packet's size each: with the offloads of veth, 10 MB are a few hundred. */
async function withoutOffloads(...nodes: Node[]): Promise<void> {
	for (const node of nodes) await node.exec(['ethtool', '-K', 'eth0', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
}

const DEVICES = [
	{ device: 'veth', needs: 'veth', tags: [] },
	{ device: 'netkit', needs: 'netkit', tags: [FULL] },
] as const;

for (const { device, needs, tags } of DEVICES) {
	test(`10,000 packets of iperf3 and netperf through ${device} are accounted for, to the last one`, {
		tags: [...tags],
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

test('a trace changes nothing: what is delivered and what the kernel counts are the same without it', async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const counted = async (traced: boolean) => {
		const { web, host, peer, trace } = await lab({ device: 'veth', forward: 'redirect' });
		const send = () => web.exec(['ping', '-6', '-q', '-i', '0.01', '-c', '100', '-s', '1000', peer.ipv6]);
		if (traced) expect(await trace({}, send)).toBeAccountedFor({ delivered: 200 });
		else await send();
		return Promise.all([web, host, peer].map(counters));
	};
	expect(await counted(true)).toEqual(await counted(false));
});

/** What a device and the IP stack counted since the lab was made. */
async function counters(node: Node): Promise<object> {
	const links = await node.exec(['ip', '-s', '-json', 'link', 'show']);
	const stack = await node.exec([
		'nstat',
		'-asz',
		'Ip6InReceives',
		'Ip6InDelivers',
		'Ip6OutForwDatagrams',
		'Ip6OutRequests',
	]);
	const devices = JSON.parse(links.stdout) as { ifname: string; stats64: object }[];
	return {
		devices: devices.map(({ ifname, stats64 }) => [ifname, stats64]),
		stack: [...stack.stdout.matchAll(/^(\w+) +(\d+)/gm)].map(([, name, count]) => `${name} ${count}`),
	};
}
