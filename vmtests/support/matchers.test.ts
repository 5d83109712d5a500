import { describe, expect, test } from 'vitest';
import './matchers.ts';
import { path } from './path.ts';
import { Trace } from './trace.ts';
import type { Hop, PacketPath } from './types.ts';

function hop(name: string, more: Partial<Hop> = {}): Hop {
	return {
		hop: name,
		netns: name.split(/[ :]/)[0]!,
		device: null,
		attach: null,
		program: null,
		verdict: null,
		symbol: 'dev_hard_start_xmit',
		socket: true,
		softirq: false,
		instructions: null,
		...more,
	};
}

function packet(hops: Hop[], more: Partial<PacketPath> = {}): PacketPath {
	return {
		direction: 'out',
		delivered: true,
		lostEvents: 0,
		packet: {
			family: 6,
			protocol: 'udp',
			source: 'fd00::2',
			destination: 'fd01::2',
			sourcePort: 40000,
			destinationPort: 53,
			detail: '',
		},
		hops,
		...more,
	};
}

const SYMBOLS = ['netkit_xmit', 'ip6_forward', 'dev_hard_start_xmit'];
const redirected = packet([
	hop('web:eth0 xmit'),
	hop('host:web ingress', { attach: 'netkit', program: 'egress_neigh', verdict: 'redirect', symbol: 'netkit_xmit' }),
	hop('host:eth0 xmit'),
	hop('peer:eth0 receive', { softirq: true, socket: false }),
	hop('peer udp deliver', { softirq: true, socket: false }),
]);
const forwarded = packet([
	hop('web:eth0 xmit'),
	hop('host:web ingress', { softirq: true, socket: false }),
	hop('host ip6 forward', { softirq: true, socket: false, symbol: 'ip6_forward' }),
	hop('host:eth0 xmit', { softirq: true, socket: false }),
	hop('peer:eth0 receive', { softirq: true, socket: false }),
	hop('peer udp deliver', { softirq: true, socket: false }),
]);
const trace = new Trace([redirected], SYMBOLS);
const slow = new Trace([forwarded], SYMBOLS);
const nothing = new Trace([], SYMBOLS);
const lossy = new Trace([packet(redirected.hops, { lostEvents: 3 })], SYMBOLS);
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
			  ≠ host:web ingress[egress_neigh → redirect]  │ host:web ingress
			  · host:eth0 xmit                             │ host ip6 forward
			  · peer:eth0 receive                          │ host:eth0 xmit
			  · peer udp deliver                           │ peer:eth0 receive
			  · (the end)                                  │ peer udp deliver

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
			  · (the end)         │ peer:eth0 receive
			  · (the end)         │ peer udp deliver

			  ignored: nothing]
		`);
	});

	test('leaves out only what it is told to, and says so', () => {
		const ignoring = ['host ip6 forward'];
		expect(slow).toFollowPath(path`web:eth0 xmit, host:web ingress, host:eth0 xmit, …`, { ignoring });
		expect(() => expect(slow).toFollowPath(path`web:eth0 xmit`, { ignoring })).toThrow('ignored: `host ip6 forward`');
	});

	test('holds for no path where no packet was traced', () => {
		expect(() => expect(nothing).toFollowPath(expected)).toThrowErrorMatchingInlineSnapshot(
			`[Error: no packet starts at \`web\`: nothing was traced]`,
		);
		expect(() => expect(nothing).not.toFollowPath(expected)).toThrow('no packet starts at `web`: nothing was traced');
		expect(() => expect(trace).toFollowPath(path`peer:eth0 xmit`)).toThrow('no packet starts at `peer`; traced were');
	});

	test('negated, names the packet that took the path all the same', () => {
		expect(() => expect(trace).not.toFollowPath(expected)).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet took the path that it should not have taken

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver]
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

	test('shows the way of the packet that makes the claim false', () => {
		expect(() => expect(slow).not.toTraverse('ip6_forward')).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet went through \`ip6_forward\`

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver]
		`);
		expect(() => expect(trace).toTraverse('ip6_forward')).toThrow('a packet did not go through `ip6_forward`');
	});

	test('does not deny what nothing watched, and suggests what was meant', () => {
		expect(() => expect(trace).not.toTraverse('ip6_forwrad')).toThrowErrorMatchingInlineSnapshot(
			`[Error: nothing watched \`ip6_forwrad\`: did you mean \`ip6_forward\`?]`,
		);
		expect(() => expect(trace).not.toTraverse('nf_hook_slow')).toThrow(
			'nothing watched `nf_hook_slow`; watched were netkit_xmit, ip6_forward, dev_hard_start_xmit',
		);
	});

	test('denies nothing where events were lost or nothing was traced', () => {
		expect(() => expect(lossy).not.toTraverse('ip6_forward')).toThrow(
			'nothing can be said of a packet whose events were lost',
		);
		expect(() => expect(nothing).not.toTraverse('ip6_forward')).toThrow('no packet was traced');
	});
});

describe('toKeepSocket and toStayInContextOfSender', () => {
	test('judge one hop or the whole way', () => {
		expect(trace.at('host:eth0 xmit')).toKeepSocket();
		expect(trace.at('host:eth0 xmit')).toStayInContextOfSender();
		expect(slow.at('host:eth0 xmit')).not.toKeepSocket();
		expect(slow.at('host:eth0 xmit')).not.toStayInContextOfSender();
		expect(() => expect(trace).toStayInContextOfSender()).toThrowErrorMatchingInlineSnapshot(
			`[Error: the packet ran in softirq and not in the context of the sender at \`peer:eth0 receive\` (dev_hard_start_xmit)]`,
		);
		expect(() => expect(slow.at('host:eth0 xmit')).toKeepSocket()).toThrowErrorMatchingInlineSnapshot(
			`[Error: the packet had lost its socket at \`host:eth0 xmit\` (dev_hard_start_xmit)]`,
		);
		expect(() => expect(nothing).not.toKeepSocket()).toThrow('no packet was traced');
	});
});

describe('toTakeHops', () => {
	test('counts hops by the last word of their names', () => {
		expect(trace).toTakeHops({ forward: 0, xmit: 2 });
		expect(slow).not.toTakeHops({ forward: 0 });
		expect(() => expect(slow).toTakeHops({ forward: 0, xmit: 2 })).toThrowErrorMatchingInlineSnapshot(`
			[Error: hops taken: {"forward":1,"xmit":2}, expected: {"forward":0,"xmit":2}

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver]
		`);
		expect(() => expect(lossy).toTakeHops({ forward: 0 })).toThrow('events were lost');
	});
});

test('a hop that no packet took is answered with those that were', () => {
	expect(() => trace.at('host:eth1 xmit')).toThrowErrorMatchingInlineSnapshot(`
		[PathproofError: no packet of this trace was at \`host:eth1 xmit\` [usage]
		try: \`host:eth0 xmit\` is the nearest. It took:
		out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver]
	`);
});

test('what is not a trace is refused', () => {
	expect(() => expect(Promise.resolve(trace)).toTraverse('ip6_forward')).toThrow('await the stimulus');
});
