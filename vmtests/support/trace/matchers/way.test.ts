import { describe, expect, test } from 'vitest';
import '../matchers.ts';
import { path } from '../path.ts';
import { event, forwarded, hop, packet, redirected, SYMBOLS } from '../sample.ts';
import { Trace } from '../trace.ts';

const trace = new Trace([redirected], SYMBOLS);
const slow = new Trace([forwarded], SYMBOLS);
const expected = path`web:eth0 xmit, host:web ingress[egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver`;

describe('toFollowPath', () => {
	test('holds where each hop was taken, and no other', () => {
		expect(trace).toFollowPath(expected);
		expect(redirected).toFollowPath('web:eth0 xmit, …, peer udp deliver');
		expect(slow).not.toFollowPath(expected);
	});

	test('shows what was expected beside what was taken, and marks where they part', () => {
		expect(() => expect(slow).toFollowPath(expected)).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet did not follow the path

			  udp [fd00::2]:40000 → [fd01::2]:53

			    expected                                   │ taken
			    web:eth0 xmit                              │ web:eth0 xmit
			  ≠ host:web ingress[egress_neigh → redirect]  │ host backlog
			  ·                                            │ host:web receive
			  ·                                            │ host ip6 forward
			    host:eth0 xmit                             │ host:eth0 xmit
			    peer:eth0 receive                          │ peer:eth0 receive
			    peer udp deliver                           │ peer udp deliver

			  ignored: nothing]
		`);
	});

	test('shows a path that ends too early', () => {
		expect(() => expect(trace).toFollowPath(path`web:eth0 xmit, host:web ingress`)).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet did not follow the path

			  udp [fd00::2]:40000 → [fd01::2]:53

			    expected          │ taken
			    web:eth0 xmit     │ web:eth0 xmit
			    host:web ingress  │ host:web ingress[netkit egress_neigh → redirect]
			  ≠ (the end)         │ host:eth0 xmit
			  ·                   │ peer:eth0 receive
			  ·                   │ peer udp deliver

			  ignored: nothing]
		`);
	});

	test('leaves out only what it is told to, and says so', () => {
		const ignoring = ['host ip6 forward', 'host backlog', 'host:web receive'];
		expect(slow).toFollowPath(path`web:eth0 xmit, host:eth0 xmit, …`, { ignoring });
		expect(() => expect(slow).toFollowPath(path`web:eth0 xmit`, { ignoring })).toThrow(
			'ignored: `host ip6 forward`, `host backlog`, `host:web receive`',
		);
	});

	test('holds for no path where no packet starts there', () => {
		expect(() => expect(trace).toFollowPath(path`peer:eth0 xmit`)).toThrowErrorMatchingInlineSnapshot(`
			[Error: no packet starts at \`peer\`; traced were

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver]
		`);
		expect(() => expect(trace).not.toFollowPath(path`peer:eth0 xmit`)).toThrow('no packet starts at `peer`');
	});

	test('negated, shows the packet that took the path all the same', () => {
		expect(() => expect(trace).not.toFollowPath(expected)).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet took the path that it should not have taken

			  udp [fd00::2]:40000 → [fd01::2]:53

			    expected                                   │ taken
			    web:eth0 xmit                              │ web:eth0 xmit
			    host:web ingress[egress_neigh → redirect]  │ host:web ingress[netkit egress_neigh → redirect]
			    host:eth0 xmit                             │ host:eth0 xmit
			    peer:eth0 receive                          │ peer:eth0 receive
			    peer udp deliver                           │ peer udp deliver

			  ignored: nothing]
		`);
	});
});

describe('toFollowPath of packets that are remade on the way', () => {
	const nonce = 'pathproof-abcdef';
	const proxied = { ...redirected.packet, source: 'fd01::1', sourcePort: 40001 };
	const answered = {
		...redirected.packet,
		source: proxied.destination,
		sourcePort: proxied.destinationPort,
		destination: proxied.source,
		destinationPort: proxied.sourcePort,
	};
	const asked = packet([hop('web:eth0 xmit', { time: 1 }), hop('host udp deliver', { time: 2 })], { nonce });
	const asking = packet([hop('host:eth0 xmit', { time: 3 }), hop('peer udp deliver', { time: 4 })], {
		nonce,
		packet: proxied,
	});
	const answer = packet([hop('peer:eth0 xmit', { time: 5 }), hop('host udp deliver', { time: 6 })], {
		direction: 'in',
		nonce,
		packet: answered,
	});
	const stranger = packet([hop('host:eth0 xmit', { time: 3 })], { nonce: 'pathproof-uvwxyz', packet: proxied });
	const whole = new Trace([answer, asking, asked, stranger], SYMBOLS);
	const through = path`web:eth0 xmit, host udp deliver, host:eth0 xmit, peer udp deliver`;

	test('goes on with another packet of the same nonce, and not with the answer', () => {
		expect(whole).toFollowPath(through, { packets: 'another' });
		expect(whole).toFollowPath(path`peer:eth0 xmit, host udp deliver`, { packets: 'another' });
		expect(whole).not.toFollowPath(through);
	});

	test('shows each packet of the way', () => {
		expect(() =>
			expect(whole).toFollowPath(path`web:eth0 xmit, host udp deliver, host:eth0 xmit, peer tcp deliver`, {
				packets: 'another',
			}),
		).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet did not follow the path

			  udp [fd00::2]:40000 → [fd01::2]:53
			  udp [fd01::1]:40001 → [fd01::2]:53

			    expected          │ taken
			    web:eth0 xmit     │ web:eth0 xmit
			    host udp deliver  │ host udp deliver
			    host:eth0 xmit    │ host:eth0 xmit
			  ≠ peer tcp deliver  │ peer udp deliver

			  ignored: nothing]
		`);
	});

	test('takes the hops of all packets in time, with others in between, on request', () => {
		const mixed = path`web:eth0 xmit, host:eth0 xmit, peer:eth0 xmit, host udp deliver`;
		expect(whole).toFollowPath(mixed, { packets: 'any' });
		expect(whole).not.toFollowPath(path`peer:eth0 xmit, web:eth0 xmit`, { packets: 'any' });
		expect(() =>
			expect(whole).toFollowPath(path`peer:eth0 xmit, web:eth0 xmit`, { packets: 'any' }),
		).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet did not follow the path

			  udp [fd01::2]:53 → [fd01::1]:40001
			  udp [fd01::1]:40001 → [fd01::2]:53
			  udp [fd00::2]:40000 → [fd01::2]:53
			  udp [fd01::1]:40001 → [fd01::2]:53

			    expected        │ taken
			    …               │ web:eth0 xmit
			    …               │ host udp deliver
			    …               │ host:eth0 xmit
			    …               │ host:eth0 xmit
			    …               │ peer udp deliver
			    peer:eth0 xmit  │ peer:eth0 xmit
			    …               │ host udp deliver
			  ≠ web:eth0 xmit   │ (the end)
			  · …               │

			  ignored: nothing]
		`);
	});
});

describe('toTraverse', () => {
	test('takes a hop, a hop with what ran there, or a kernel function', () => {
		expect(slow).toTraverse('host ip6 forward');
		expect(slow).toTraverse('ip6_forward');
		expect(trace).toTraverse('host:web ingress[→ redirect]');
		expect(trace).not.toTraverse('ip6_forward');
		expect(trace).not.toTraverse('host:web ingress[→ drop]');
	});

	test('finds a function that is no hop', () => {
		const noted = new Trace([packet(redirected.hops, { events: [event('ip6_output')] })], SYMBOLS);
		expect(noted).toTraverse('ip6_output');
		expect(trace).not.toTraverse('ip6_output');
		expect(() => expect(noted.out).not.toTraverse('ip6_output')).toThrow('a packet went through `ip6_output`');
	});

	test('shows the way of the packet that makes the claim false', () => {
		expect(() => expect(slow).not.toTraverse('ip6_forward')).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet went through \`ip6_forward\`

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host backlog, host:web receive, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver]
		`);
		expect(() => expect(trace).toTraverse('ip6_forward')).toThrow('a packet did not go through `ip6_forward`');
	});

	test('does not deny a hop of a kind that nothing watched', () => {
		expect(trace).not.toTraverse('host:web egress');
		expect(trace).not.toTraverse('drop NO_SOCKET');
		expect(() => expect(trace).not.toTraverse('host netfilter forward')).toThrow(
			'nothing watched `host netfilter forward`',
		);
		expect(() => expect(trace).not.toTraverse('host ip6 foward')).toThrow('nothing watched `host ip6 foward`');
	});

	test('does not deny what nothing watched, and suggests what was meant', () => {
		expect(() => expect(trace).not.toTraverse('ip6_forwrad')).toThrowErrorMatchingInlineSnapshot(
			`[Error: nothing watched \`ip6_forwrad\`: did you mean \`ip6_forward\`?]`,
		);
		expect(() => expect(trace.out).not.toTraverse('ip6_forwrad')).toThrow('nothing watched `ip6_forwrad`');
		expect(() => expect(trace).not.toTraverse('nf_hook_slow')).toThrow(
			'nothing watched `nf_hook_slow`; watched were net_dev_start_xmit, netif_receive_skb, kfree_skb, bpf_prog, enqueue_to_backlog, ip6_forward, ip6_output, __udp_enqueue_schedule_skb',
		);
	});
});

describe('toTakeHops', () => {
	test('counts hops by what happened, whether netfilter was asked on the way or not', () => {
		const asked = new Trace([packet([...forwarded.hops, hop('host netfilter forward')])], [...SYMBOLS, 'nf_hook_slow']);
		expect(asked).toTakeHops({ forward: 1, netfilter: 1, 'ip6 forward': 1, 'host backlog': 1, 'web backlog': 0 });
		const closed = new Trace([packet([hop('peer:eth0 receive'), hop('drop NO_SOCKET')])], SYMBOLS);
		expect(closed).toTakeHops({ drop: 1, deliver: 0 });
	});

	test('counts no hops of a kind that nothing watched', () => {
		expect(() => expect(trace).toTakeHops({ netfilter: 0 })).toThrowErrorMatchingInlineSnapshot(
			`[Error: nothing watched \`netfilter\`; the hops that were watched are ingress, egress, xmit, receive, drop, backlog, ip6 forward, udp deliver]`,
		);
		expect(() => expect(trace).not.toTakeHops({ backlogs: 1 })).toThrow('nothing watched `backlogs`');
		expect(() => expect(trace).toTakeHops({ 'host:eth0 qdisc': 0 })).toThrow('nothing watched `host:eth0 qdisc`');
	});

	test('shows how many there were', () => {
		expect(trace).toTakeHops({ forward: 0, xmit: 2 });
		expect(slow).not.toTakeHops({ forward: 0 });
		expect(() => expect(slow).toTakeHops({ forward: 0, xmit: 2 })).toThrowErrorMatchingInlineSnapshot(`
			[Error: hops taken: {"forward":1,"xmit":2}, expected: {"forward":0,"xmit":2}

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host backlog, host:web receive, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver]
		`);
		expect(() => expect(trace).not.toTakeHops({ xmit: 2 })).toThrow('hops taken: {"xmit":2}, which should differ');
	});
});

test('a hop that no packet took is answered with those that were', () => {
	expect(() => trace.at('host:eth1 xmit')).toThrowErrorMatchingInlineSnapshot(`
		[PathproofError: no packet of this trace was at \`host:eth1 xmit\` [usage]
		try: \`host:eth0 xmit\` is the nearest. It took:
		out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver]
	`);
});

test('a trace is written down without its events', () => {
	const noted = new Trace([packet(redirected.hops, { events: [event('ip6_output')] })], SYMBOLS);
	const { events: _, ...rest } = redirected;
	expect(JSON.parse(JSON.stringify(noted))).toEqual({ packets: [rest] });
});

test('a packet that was cut up before its first hop is judged by its pieces, one that vanished there is not let off', () => {
	const cut = packet([], { fate: 'segmented', events: [event('ip6_output', { netns: 'web' })] });
	const vanished = { ...cut, fate: 'unexplained' as const };
	const way = redirected.hops.map(({ hop }) => hop).join(', ');
	expect([cut, redirected]).toFollowPath(way);
	expect(() => expect([vanished, redirected]).toFollowPath(way)).toThrow('a packet did not follow the path');
});
