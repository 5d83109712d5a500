/** One packet stays one packet: through queues and rules, programs and namespaces, cut up and put together, made anew by a proxy. */
import { DUPLICATES, expect, type Node, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

const FORWARDED =
	'web:eth0 xmit, host backlog, host:web receive, host:web ingress[egress_guard → pass], host ip6 receive, host ip6 forward, host:eth0 xmit, peer:eth0 receive';

test('a segment that a device cuts up has gone on in its pieces, and all of them arrive', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth');
	const { web, host, peer, trace } = await lab({ device: 'veth', forward: 'stack' });
	await host.exec(['ethtool', '-K', 'eth0', 'tso', 'off', 'gso', 'off']);
	const bulk = await trace({ protocol: 'tcp' }, () => web.iperf3(peer, { megabytes: 1 }));
	expect(bulk).toBeAccountedFor();
	const segmented = bulk.out.filter(({ fate }) => fate === 'segmented');
	expect(segmented.length).toBeGreaterThan(0);
	expect(segmented).toFollowPath(
		path`web:eth0 xmit, host backlog, host:web receive, host:web ingress[egress_guard → pass], host ip6 receive, host ip6 forward`,
	);
	const pieces = bulk.out.filter(({ hops }) => hops[0]?.hop === 'host:eth0 xmit');
	expect(pieces.length).toBeGreaterThan(segmented.length);
	expect(pieces).toFollowPath(path`host:eth0 xmit, peer:eth0 receive, peer tcp deliver`, { ignoring: DUPLICATES });
});

for (const family of [6, 4] as const)
	test(
		`a datagram in fragments is delivered whole, IPv${family}`,
		family === 4 ? { tags: [FULL] } : turn(1),
		async ({ lab, requires }) => {
			await requires('veth');
			const { web, peer } = await lab({ device: 'veth', forward: 'stack' });
			const trace = await web.udp(peer, 53, { family, size: 4000 });
			expect(trace).toBeAccountedFor();
			const fragments = trace.out.filter(({ packet }) => packet.detail.startsWith('fragment'));
			const ip = family === 6 ? 'ip6' : 'ip';
			expect(fragments.map(({ packet, fate }) => `${packet.detail}: ${fate}`)).toEqual(
				[0, 1448, 2896].map((at) => `fragment at ${family === 6 ? at : at + 32 * (at / 1448)}: merged`),
			);
			expect(fragments).toFollowPath(path`${FORWARDED.replaceAll('ip6', ip)}`);
			const [whole] = trace.out.filter(({ fate }) => fate === 'delivered');
			expect(whole).toTraverse('peer udp deliver');
		},
	);

/** Answers to nobody: takes a datagram, and sends its payload on as one of its own. */
async function relay(at: Node, to: Node): Promise<AsyncDisposable> {
	const proxy = await at.spawn(['socat', '-u', '-dd', 'UDP6-RECV:5300', `UDP6-SENDTO:${to.literal(6)}:53`]);
	await proxy.waitFor(/starting data transfer loop/);
	return proxy;
}

test('a datagram that a proxy makes anew is followed by its nonce', turn(2), async ({ lab, requires }) => {
	await requires('veth');
	const { web, host, peer, trace } = await lab({ device: 'veth', forward: 'stack' });
	await using _proxy = await relay(host, peer);
	await using listener = await peer.spawn(['socat', '-u', '-dd', 'UDP6-RECV:53', 'STDOUT']);
	await listener.waitFor(/starting data transfer loop/);
	const nonce = 'pathproof-proxy1';
	const both = await trace({ protocol: 'udp' }, async () => {
		await web.exec(['socat', '-u', '-', `UDP6-SENDTO:${host.literal(6)}:5300`], { input: nonce });
		await listener.waitFor(/pathproof-proxy1/);
	});
	expect(both.packets.map((packet) => packet.nonce)).toEqual([nonce, nonce]);
	const way = path`web:eth0 xmit, host backlog, host:web receive, host:web ingress[egress_guard → pass], host ip6 receive, host udp deliver, host:eth0 xmit, peer:eth0 receive, peer udp deliver`;
	expect(both).toFollowPath(way, { packets: 'another' });
	expect(both).not.toFollowPath(way);
});

test('a datagram in a tunnel is found by its nonce, whatever is around it', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth', 'vxlan');
	const { web, peer, trace } = await lab({ device: 'veth', forward: 'stack' });
	for (const [node, other, address] of [
		[web, peer, '2001:db8:9::1'],
		[peer, web, '2001:db8:9::2'],
	] as const) {
		await node.exec([
			'sh',
			'-c',
			`ip link add tunnel address 02:00:5e:00:53:f${address.at(-1)} type vxlan id 7 dstport 4789 local ${node.ipv6} remote ${other.ipv6} && ip link set tunnel addrgenmode none up && ip addr add ${address}/64 dev tunnel nodad`,
		]);
	}
	await web.exec(['ip', 'neigh', 'add', '2001:db8:9::2', 'lladdr', '02:00:5e:00:53:f2', 'dev', 'tunnel']);
	const nonce = 'pathproof-tunnel';
	const both = await trace({ protocol: 'udp' }, () =>
		web.exec(['socat', '-u', '-', 'UDP6-SENDTO:[2001:db8:9::2]:9'], { input: nonce }),
	);
	// beside it in the tunnel: neighbour discovery, and the answer that nobody listens
	const [inner, outer] = both.packets.filter((packet) => packet.nonce === nonce && packet.direction === 'out');
	expect(outer!.packet.destinationPort).toBe(4789);
	expect(inner).toTraverse('web:tunnel xmit');
	expect(inner).toTraverse('peer:tunnel receive');
	expect(outer).toFollowPath(path`${FORWARDED}`);
	expect([inner!.fate, outer!.fate]).toEqual(['dropped', 'unwrapped']);
});

test('what waits in a qdisc, for a rule and for a neighbour is one packet all the while', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth', 'netem', 'nftables');
	const { web, host, peer } = await lab({ device: 'veth', forward: 'stack' });
	await host.exec(['tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'netem', 'delay', '10ms']);
	await host.exec(['nft', 'add table ip6 t; add chain ip6 t c { type filter hook forward priority 0; }']);
	// neighbour discovery is sent from a link-local address, which a lab has none of
	await host.exec(['ip', 'addr', 'add', 'fe80::2/64', 'dev', 'eth0', 'nodad']);
	await host.exec(['ip', 'neigh', 'del', peer.ipv6, 'dev', 'eth0']);
	expect(await web.udp(peer, 53)).toFollowPath(
		path`web:eth0 xmit, host backlog, host:web receive, host:web ingress[egress_guard → pass], host ip6 receive, host ip6 forward, host netfilter forward, host:eth0 neighbour, host:eth0 qdisc, host:eth0 xmit, peer:eth0 receive, peer udp deliver`,
	);
});

test('netkit takes the way of veth, except that it spares the wait for a softirq', { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth', 'netkit');
	const veth = await lab({ device: 'veth', forward: 'redirect' });
	const netkit = await lab({ device: 'netkit', forward: 'redirect' });
	const overVeth = await veth.web.curl(veth.peer);
	const overNetkit = await netkit.web.curl(netkit.peer);
	expect(overNetkit).toFollowSamePathAs(overVeth, { without: ['host backlog', 'host:web receive'] });
	expect(overNetkit).not.toFollowSamePathAs(overVeth);
});
