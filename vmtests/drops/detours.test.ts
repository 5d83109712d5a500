/** What happens to packets that arrive all the same: they wait, go another way, or in pieces. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, path, type Trace, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { Listener, PORT, reasonsHere, send } from './causes.ts';

const STRAIGHT = path`web:eth0 xmit, …, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver`;

test('a packet whose next hop is not known yet waits until it answers, and goes on', turn(0), async ({ lab }) => {
	const { web, host, peer } = await lab();
	expect(await web.udp(peer, 53, { family: 4 })).toTakeHops({ neighbour: 0 });
	await host.exec(['ip', 'neigh', 'del', peer.ipv4, 'dev', 'eth0']);
	expect(await web.udp(peer, 53, { family: 4 })).toFollowPath(
		path`web:eth0 xmit, …, host ip forward, host:eth0 neighbour, host:eth0 xmit, peer:eth0 receive, peer udp deliver`,
	);
});

test('a packet that a queue holds back is sent when its time has come', turn(1), async ({ lab, requires }) => {
	await requires('netem');
	const { web, host, peer } = await lab();
	expect(await web.udp(peer, 53)).toFollowPath(STRAIGHT);
	await host.exec(['tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'netem', 'delay', '50ms']);
	const trace = await web.udp(peer, 53);
	expect(trace).toFollowPath(
		path`web:eth0 xmit, …, host ip6 forward, host:eth0 qdisc, host:eth0 xmit, peer:eth0 receive, peer udp deliver`,
	);
	expect(trace.at('host:eth0 xmit').time - trace.at('host ip6 forward').time).toBeGreaterThan(50e6);
});

test('a rule of the routing policy sends a packet out of another uplink', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('dummy');
	const { web, host, peer } = await lab();
	expect(await web.udp(peer, 53)).toFollowPath(STRAIGHT);
	const commands = [
		'ip link add eth1 type dummy',
		'ip link set eth1 up',
		`ip neigh add ${peer.ipv6} lladdr 02:00:5e:00:53:99 dev eth1`,
		`ip route add ${peer.ipv6} dev eth1 table 100`,
		'ip -6 rule add iif web lookup 100',
	];
	await host.exec(['sh', '-c', commands.join(' && ')]);
	const trace = await web.udp(peer, 53, { listen: false });
	expect(trace).toFollowPath(path`web:eth0 xmit, …, host ip6 forward, host:eth1 xmit`);
});

test('a datagram larger than the MTU goes in fragments; where one is lost, the others are given up in the end', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('nftables');
	const here = await lab();
	const datagram = { size: 2800 };
	await using listener = new Listener(here, datagram);
	await listener.start();
	const whole = await send(here, datagram);
	const [, ...fragments] = whole.out;
	expect(whole).toBeAccountedFor({ delivered: 1, merged: 2 });
	expect(fragments).toFollowPath(path`web:eth0 xmit, …, host ip6 forward, host:eth0 xmit, peer:eth0 receive`);

	await here.peer.exec(['sysctl', '-qw', 'net.ipv6.ip6frag_time=1']);
	const refuse = 'table inet refuse { chain later { type filter hook forward priority 0; frag frag-off != 0 drop; }; }';
	await here.host.exec(['nft', refuse]);
	const { web, peer } = here;
	const lossy = await here.trace({ protocol: 'udp', family: 6, port: PORT }, async () => {
		const to = `UDP6-SENDTO:${peer.literal(6)}:${PORT}`;
		await web.exec(['socat', '-u', '-b', '2800', '-', to], { input: Buffer.alloc(2800) });
		await sleep(2000);
	});
	const [, first, later] = lossy.out;
	expect(later).toBeDroppedAt('host netfilter forward', reasonsHere(lossy, ['NETFILTER_DROP', 'nf_hook_slow']));
	expect(first).toBeDroppedAt('peer:eth0 receive', reasonsHere(lossy, ['FRAG_REASM_TIMEOUT', 'ip6_frag_expire']));
});

test('a fragment that comes a second time is dropped, and the datagram is delivered', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('netem');
	const here = await lab();
	const datagram = { size: 2800 };
	await using listener = new Listener(here, datagram);
	await listener.start();
	const dropped = (trace: Trace) => trace.packets.filter(({ fate }) => fate === 'dropped');
	expect(dropped(await send(here, datagram))).toEqual([]);
	await here.host.exec(['tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'netem', 'duplicate', '100%']);
	const trace = await send(here, datagram);
	expect(dropped(trace)).toBeDroppedAt('peer:eth0 receive', reasonsHere(trace, ['DUP_FRAG', 'ipv6_frag_rcv']));
	expect(trace.out[0]).toBeAccountedFor({ delivered: 1 });
});

test('a datagram larger than the MTU ahead is fragmented on the way where that is allowed', {
	tags: [FULL],
}, async ({ lab }) => {
	const here = await lab();
	const datagram = { from: 'peer', family: 4, size: 1400, sender: 'mtudiscover=0' } as const;
	await using listener = new Listener(here, datagram);
	await listener.start();
	expect(await send(here, datagram)).toBeAccountedFor({ delivered: 1, merged: 0, segmented: 0 });
	await here.host.exec(['ip', 'link', 'set', 'web', 'mtu', '1300']);
	const trace = await send(here, datagram);
	const [, ...fragments] = trace.in;
	expect(fragments).toFollowPath(path`host:web xmit, …, web:eth0 receive`);
	expect(trace).toBeAccountedFor({ delivered: 1, merged: 2 });
});

test('one large datagram is sent as several smaller ones where its device cannot', { tags: [FULL] }, async ({
	lab,
}) => {
	const here = await lab();
	// IPPROTO_UDP, UDP_SEGMENT
	const large = { size: 2000, sender: 'setsockopt=17:103:500' };
	await using listener = new Listener(here, large);
	await listener.start();
	await here.web.exec(['ethtool', '-K', 'eth0', 'tx-udp-segmentation', 'off']);
	const trace = await send(here, large);
	expect(trace).toBeAccountedFor({ segmented: 1, delivered: 4 });
	expect(trace).toFollowPath(STRAIGHT);
});
