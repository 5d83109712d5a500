/** The events are recorded from real kernels: netkit-redirect and veth-stack on 6.12.117, veth-redirect on 5.10.262. */
import { expect, test } from 'vitest';
import netkitRedirect from '../../../fixtures/traces/netkit-redirect.json' with { type: 'json' };
import vethRedirect from '../../../fixtures/traces/veth-redirect.json' with { type: 'json' };
import vethStack from '../../../fixtures/traces/veth-stack.json' with { type: 'json' };
import { packetPaths } from './hops.ts';
import { formatPacket } from './trace.ts';
import type { PacketEvent } from './types.ts';

const RECORDED = { netkitRedirect, vethRedirect, vethStack } as unknown as Record<
	string,
	Record<string, PacketEvent[]>
>;
const events = (lab: string, stimulus: string) => RECORDED[lab]![stimulus]!;
const hops = (all: readonly PacketEvent[]) => packetPaths(all, 0).map(formatPacket);
const ways = (all: readonly PacketEvent[]) =>
	packetPaths(all, 0).map((packet) => packet.hops.map(({ hop }) => hop).join(', '));

test('a packet through netkit and redirect_neigh takes five hops, none of them in the host stack', () => {
	expect(hops(events('netkitRedirect', 'udp'))).toMatchInlineSnapshot(`
		[
		  "out udp [2001:db8:0:2::10]:56851 → [2001:db8:0:1::2]:5353 datagram 1: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver",
		]
	`);
});

test('through veth it waits in a backlog of the host first, and the same names serve 5.10 and clsact', () => {
	expect(hops(events('vethRedirect', 'udp'))).toMatchInlineSnapshot(`
		[
		  "out udp [2001:db8:0:2::10]:32783 → [2001:db8:0:1::2]:5353 datagram 1: web:eth0 xmit, host backlog, host:web receive, host:web ingress[clsact egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver",
		]
	`);
});

test('redirect_peer gives the answer to the container without a backlog', () => {
	expect(hops(events('netkitRedirect', 'ping'))).toMatchInlineSnapshot(`
		[
		  "out icmp 2001:db8:0:2::10 → 2001:db8:0:1::2 echo request seq 1: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer icmp deliver",
		  "in icmp 2001:db8:0:1::2 → 2001:db8:0:2::10 echo reply seq 1: peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[tcx ingress_peer → redirect], web:eth0 receive, web icmp deliver",
		]
	`);
});

test('by the stack it is received and forwarded on the way out, and waits once more on the way in', () => {
	expect(hops(events('vethStack', 'ping'))).toMatchInlineSnapshot(`
		[
		  "out icmp 2001:db8:0:2::10 → 2001:db8:0:1::2 echo request seq 1: web:eth0 xmit, host backlog, host:web receive, host ip6 receive, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer icmp deliver",
		  "in icmp 2001:db8:0:1::2 → 2001:db8:0:2::10 echo reply seq 1: peer:eth0 xmit, host:eth0 receive, host ip6 receive, host ip6 forward, host:web xmit, web backlog, web:eth0 receive, web icmp deliver",
		]
	`);
});

test('a packet that nobody waits for ends in a drop, and its error message is a packet of its own', () => {
	expect(hops(events('netkitRedirect', 'closed'))).toMatchInlineSnapshot(`
		[
		  "out udp [2001:db8:0:2::10]:41536 → [2001:db8:0:1::2]:53 datagram 1: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, drop NO_SOCKET (not delivered)",
		  "in icmp 2001:db8:0:1::2 → 2001:db8:0:2::10 destination unreachable code 4: peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[tcx ingress_peer → redirect], web:eth0 receive, web icmp deliver",
		]
	`);
});

test('a kernel without reasons names the function that dropped', () => {
	expect(ways(events('vethRedirect', 'closed'))[0]).toMatch(/drop __udp6_lib_rcv$/);
});

test('the segments of a connection are told apart', () => {
	const packets = packetPaths(events('vethStack', 'curl'), 0);
	expect(packets.map(({ direction, packet }) => `${direction} ${packet.detail}`)).toMatchInlineSnapshot(`
		[
		  "out SYN",
		  "in SYN ACK",
		  "out ACK seq 1",
		  "out PSH ACK seq 1",
		  "in ACK seq 1",
		  "in PSH ACK seq 1",
		  "out ACK seq 90",
		  "in PSH ACK seq 183",
		  "out ACK seq 90",
		  "in FIN ACK seq 186",
		  "out FIN ACK seq 90",
		  "in ACK seq 187",
		]
	`);
	expect(packets.every(({ delivered }) => delivered)).toBe(true);
});

test('the same datagram sent again is another packet', () => {
	const once = events('netkitRedirect', 'udp');
	const later = once.map((event) => ({ ...event, time: event.time + 1_000_000_000 }));
	expect(packetPaths([...once, ...later], 0).map(({ packet, hops: { length } }) => [packet.detail, length])).toEqual([
		['datagram 1', 5],
		['datagram 2', 5],
	]);
});

test('two datagrams under way at once keep their own hops, by their buffers', () => {
	const once = events('netkitRedirect', 'udp');
	const other = once.map((event) => ({ ...event, time: event.time + 1, skb: `${event.skb}0`, head: `${event.head}0` }));
	expect(packetPaths([...once, ...other], 0).map(({ hops: { length }, delivered }) => [length, delivered])).toEqual([
		[5, true],
		[5, true],
	]);
});

test('events may come in any order', () => {
	const inOrder = events('vethStack', 'ping');
	expect(hops(inOrder.toReversed())).toEqual(hops(inOrder));
});

test('a redirect by a program that was not seen is a hop without a name', () => {
	const unseen = events('netkitRedirect', 'udp').filter(({ kind }) => kind !== 'program');
	expect(packetPaths(unseen, 0)[0]!.hops[1]).toMatchObject({
		hop: 'host:web ingress',
		program: null,
		attach: null,
		verdict: 'redirect',
		symbol: 'skb_do_redirect',
	});
});

test('instructions are counted from hop to hop, and only where a nanosecond is one', () => {
	const all = events('netkitRedirect', 'udp');
	const [exact] = packetPaths(all, 0, { exact: true });
	const [functional] = packetPaths(all, 0);
	expect(exact!.hops[0]!.instructions).toBe(0);
	expect(exact!.hops.slice(1).every(({ instructions }) => instructions! > 0)).toBe(true);
	expect(functional!.hops.every(({ instructions }) => instructions === null)).toBe(true);
});

test('events that were lost are said of every packet', () => {
	expect(packetPaths(events('netkitRedirect', 'ping'), 3).map(({ lostEvents }) => lostEvents)).toEqual([3, 3]);
});
