import { expect, test } from 'vitest';
import type { Hop, PlainPath } from '../trace/types.ts';
import { align, bypassed } from './align.ts';
import { toText, widthOf } from './line.ts';
import { drawRoutes } from './route.ts';

const redirect = packet([
	hop('web:eth0 xmit'),
	hop('host:web ingress', { attach: 'netkit', program: 'egress_neigh', verdict: 'redirect' }),
	hop('host:eth0 xmit'),
	hop('peer:eth0 receive'),
	hop('peer icmp deliver'),
]);
const stack = packet([
	hop('web:eth0 xmit'),
	hop('host backlog'),
	hop('host:web receive'),
	hop('host ip6 receive'),
	hop('host ip6 forward'),
	hop('host:eth0 xmit'),
	hop('peer:eth0 receive'),
	hop('peer icmp deliver'),
]);

test('hops that both ways took stand side by side', () => {
	const shared = align(redirect.hops, stack.hops).filter((pair) => pair.shared);
	expect(shared.map(({ left, right }) => [left?.number, right?.number])).toEqual([
		[1, 1],
		[3, 6],
		[4, 7],
		[5, 8],
	]);
});

test('what only the second way took was bypassed by the first', () => {
	expect(bypassed(redirect.hops, stack.hops).map((taken) => taken.hop)).toEqual([
		'host backlog',
		'host:web receive',
		'host ip6 receive',
		'host ip6 forward',
	]);
});

test('two routes are drawn side by side, level in every netns', () => {
	const lines = drawRoutes(
		{ title: 'netkit-l3 redirect', packet: redirect },
		{ title: 'netkit-l3 stack', packet: stack },
	);
	expect(lines.map(toText).join('\n')).toMatchInlineSnapshot(`
		"netkit-l3 redirect  5 hops                         netkit-l3 stack  8 hops
		╭─ container web ───────────────────────────────╮  ╭─ container web ───────────────────────────────╮
		│ 1 eth0 xmit                                   │  │ 1 eth0 xmit                                   │
		├─▼─ host ──────────────────────────────────────┤  ├─▼─ host ──────────────────────────────────────┤
		│ 2 web ingress  netkit egress_neigh → redirect │  │ 2 backlog                                     │
		│ ┃                                             │  │ 3 web receive                                 │
		│ ┃                                             │  │ 4 ip6 receive                                 │
		│ ┃                                             │  │ 5 ip6 forward                                 │
		│ 3 eth0 xmit                                   │  │ 6 eth0 xmit                                   │
		╞═▼═ peer ═══════════════════════════ the wire ═╡  ╞═▼═ peer ═══════════════════════════ the wire ═╡
		│ 4 eth0 receive                                │  │ 7 eth0 receive                                │
		│ 5 icmp deliver                                │  │ 8 icmp deliver                                │
		╰─ delivered ───────────────────────────────────╯  ╰─ delivered ───────────────────────────────────╯"
	`);
});

test('a picture is never wider than asked, whatever a program is called', () => {
	const long = packet([
		hop('host:web ingress', {
			attach: 'netkit',
			program: 'a_program_with_quite_a_long_name_indeed',
			verdict: 'redirect',
		}),
	]);
	const lines = drawRoutes({ title: 'x'.repeat(80), packet: long }, { title: 'stack', packet: stack }, 100);
	expect(lines.map(widthOf)).toEqual(lines.map(() => 100));
	expect(lines.map(toText).join('\n')).toContain('…');
});

test('a netns that only one way entered is passed by the other', () => {
	const local = packet([hop('web:eth0 xmit'), hop('peer icmp deliver')]);
	const drawn = drawRoutes({ title: 'short', packet: local }, { title: 'stack', packet: stack }).map(toText).join('\n');
	expect(drawn).toContain('not entered');
	expect(drawn).toContain('┃');
});

test('a packet that was dropped says so', () => {
	const dropped = {
		...packet([hop('web:eth0 xmit'), { ...hop('drop NO_SOCKET'), netns: 'peer' }]),
		delivered: false,
		fate: 'dropped' as const,
		lostEvents: 2,
	};
	const drawn = drawRoutes({ title: 'a', packet: dropped }, { title: 'b', packet: stack }).map(toText).join('\n');
	expect(drawn).toContain('drop NO_SOCKET');
	expect(drawn).toContain('not delivered 2 events lost');
});

function hop(name: string, ran: Partial<Hop> = {}): Hop {
	const netns = /^\w+/.exec(name)![0];
	return {
		hop: name,
		netns,
		device: /:(\w+)/.exec(name)?.[1] ?? null,
		attach: null,
		program: null,
		verdict: null,
		symbol: 'net_dev_start_xmit',
		time: 0,
		socket: true,
		softirq: false,
		mark: 0,
		instructions: null,
		...ran,
	};
}

function packet(hops: Hop[]): PlainPath {
	return {
		direction: 'out',
		delivered: true,
		fate: 'delivered',
		lostEvents: 0,
		nonce: null,
		packet: {
			family: 6,
			protocol: 'icmp',
			source: '2001:db8::2',
			destination: '2001:db8:1::1',
			sourcePort: null,
			destinationPort: null,
			detail: 'echo request seq 1',
		},
		hops,
	};
}
