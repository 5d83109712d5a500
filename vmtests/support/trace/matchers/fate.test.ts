import { describe, expect, test } from 'vitest';
import '../matchers.ts';
import { hop, packet, redirected, SYMBOLS } from '../sample.ts';
import { Trace } from '../trace.ts';

const traceOf = (...packets: readonly ReturnType<typeof packet>[]) => new Trace(packets, SYMBOLS);
const way = [hop('web:eth0 xmit'), hop('host:eth0 xmit'), hop('peer:eth0 receive')];
const dropped = (reason: string, symbol: string) => traceOf(packet([...way, hop(`drop ${reason}`, { symbol })]));
const judged = hop('host:web ingress', { attach: 'tcx', program: 'discard_nine', verdict: 'drop' });

const closed = dropped('NO_SOCKET', '__udp6_lib_rcv');
const nameless = dropped('NOT_SPECIFIED', 'ip6_forward');
const old = dropped('__udp6_lib_rcv', '__udp6_lib_rcv');
const delivered = traceOf(redirected);

describe('toBeDroppedAt', () => {
	test('takes the last hop before the drop, and its reason', () => {
		expect(closed).toBeDroppedAt('peer:eth0 receive', 'NO_SOCKET');
		expect(closed).not.toBeDroppedAt('host:eth0 xmit', 'NO_SOCKET');
		expect(closed).not.toBeDroppedAt('peer:eth0 receive', 'NO_ROUTE');
		expect(delivered).not.toBeDroppedAt('peer udp deliver', 'NO_SOCKET');
	});

	test('takes the function where a kernel gives no reason, and only there', () => {
		const reasons = ['NO_SOCKET', '__udp6_lib_rcv'];
		expect(closed).toBeDroppedAt('peer:eth0 receive', reasons);
		expect(old).toBeDroppedAt('peer:eth0 receive', reasons);
		expect(nameless).toBeDroppedAt('peer:eth0 receive', ['HOST_UNREACH', 'ip6_forward']);
		expect(nameless).toBeDroppedAt('peer:eth0 receive', 'NOT_SPECIFIED');
		expect(closed).not.toBeDroppedAt('peer:eth0 receive', '__udp6_lib_rcv');
		const inlined = dropped('NOT_SPECIFIED', '__netif_receive_skb_core.constprop.0');
		expect(inlined).toBeDroppedAt('peer:eth0 receive', '__netif_receive_skb_core');
	});

	test('takes the program that dropped as the place, and as the reason where the kernel says nothing', () => {
		const silent = traceOf(packet([hop('web:eth0 xmit'), judged], { fate: 'dropped' }));
		const told = traceOf(packet([hop('web:eth0 xmit'), judged, hop('drop TC_INGRESS', { symbol: 'tcx_run' })]));
		const failed = traceOf(packet([hop('peer:eth0 ingress', { attach: 'xdp', program: 'x', verdict: 'aborted' })]));
		expect(silent).toBeDroppedAt('host:web ingress[discard_nine → drop]', 'drop');
		expect(told).toBeDroppedAt('host:web ingress[discard_nine → drop]', 'TC_INGRESS');
		expect(told).not.toBeDroppedAt('host:web ingress[discard_nine → drop]', 'drop');
		expect(failed).toBeDroppedAt('peer:eth0 ingress[xdp x → aborted]', 'aborted');
	});

	test('a packet that was seen nowhere before its drop was dropped at no hop', () => {
		const alone = traceOf(packet([hop('drop NO_ROUTE', { symbol: 'ip6_pkt_drop' })]));
		expect(alone).not.toBeDroppedAt('web:eth0 xmit', 'NO_ROUTE');
		expect(() => expect(alone).toBeDroppedAt('web:eth0 xmit', 'NO_ROUTE')).toThrow(
			'but at no hop that was seen for NO_ROUTE by `ip6_pkt_drop`',
		);
	});

	test('names the reason and the function that it found, and the hop they were found at', () => {
		expect(() =>
			expect(closed).toBeDroppedAt('host:eth0 xmit', ['NO_ROUTE', 'ip6_pkt_drop']),
		).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet was not dropped at \`host:eth0 xmit\` for NO_ROUTE or ip6_pkt_drop, but at \`peer:eth0 receive\` for NO_SOCKET by \`__udp6_lib_rcv\`

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive, drop NO_SOCKET (not delivered)]
		`);
		expect(() => expect(delivered).toBeDroppedAt('peer:eth0 receive', 'NO_SOCKET')).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet was not dropped at \`peer:eth0 receive\` for NO_SOCKET, but ended delivered at \`peer udp deliver\`

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:web ingress[netkit egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive, peer udp deliver]
		`);
		expect(() =>
			expect(old).not.toBeDroppedAt('peer:eth0 receive', '__udp6_lib_rcv'),
		).toThrowErrorMatchingInlineSnapshot(`
			[Error: a packet was dropped at \`peer:eth0 receive\` for __udp6_lib_rcv, as it should not have been

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive, drop __udp6_lib_rcv (not delivered)]
		`);
	});
});

describe('toBeAccountedFor', () => {
	const vanished = packet(way);
	const queued = packet([hop('web:eth0 xmit'), hop('host:eth0 qdisc')], { fate: 'queued' });

	test('holds where each packet came to an end that has a name', () => {
		const all = traceOf(redirected, queued, packet(way, { fate: 'segmented' }), packet(way, { fate: 'merged' }));
		expect(all).toBeAccountedFor();
		expect(closed).toBeAccountedFor();
		expect(nameless).toBeAccountedFor();
		expect(traceOf(redirected, vanished)).not.toBeAccountedFor();
	});

	test('counts the ends where it is asked to', () => {
		expect(traceOf(redirected, redirected, queued)).toBeAccountedFor({ delivered: 2, dropped: 0 });
		expect(traceOf(redirected)).not.toBeAccountedFor({ delivered: 2 });
		expect(() =>
			expect(traceOf(redirected, queued)).toBeAccountedFor({ delivered: 10000, dropped: 0 }),
		).toThrowErrorMatchingInlineSnapshot(`
			[Error: 2 of 2 packets are accounted for, but not as expected

			  delivered  1  expected 10000
			  queued     1
			  dropped    0  expected 0]
		`);
	});

	test('a drop whose place or reason has no name explains nothing', () => {
		expect(traceOf(packet([hop('drop NO_ROUTE')]))).not.toBeAccountedFor();
		expect(dropped('REASON_77', 'ip6_forward')).not.toBeAccountedFor();
		expect(dropped('0xffffffff81a0b2c3', '0xffffffff81a0b2c3')).not.toBeAccountedFor();
		expect(dropped('NOT_SPECIFIED', '0xffffffff81a0b2c3')).not.toBeAccountedFor();
	});

	test('shows how many came to what end, and the first of those that came to none', () => {
		const flow = traceOf(redirected, ...Array.from({ length: 7 }, () => packet(way)));
		expect(() => expect(flow).toBeAccountedFor({ delivered: 8 })).toThrowErrorMatchingInlineSnapshot(`
			[Error: 7 of 8 packets are not accounted for

			  delivered    1  expected 8
			  unexplained  7

			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive (not delivered)
			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive (not delivered)
			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive (not delivered)
			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive (not delivered)
			  out udp [fd00::2]:40000 → [fd01::2]:53: web:eth0 xmit, host:eth0 xmit, peer:eth0 receive (not delivered)
			  … and 2 more]
		`);
		expect(() => expect(delivered).not.toBeAccountedFor()).toThrowErrorMatchingInlineSnapshot(`
			[Error: 1 of 1 packets are accounted for, as they should not be

			  delivered  1]
		`);
	});
});
