import { describe, expect, test } from 'vitest';
import { packetPaths } from './hops.ts';
import { segment, waysOf } from './sample.ts';
import type { PacketEvent } from './types.ts';

describe('a large segment', () => {
	test('that a device cuts up has gone on in its pieces', () => {
		expect(
			waysOf([
				segment('xmit', 'web:eth0', 1000, 2800),
				segment('receive', 'host:web', 1000, 2800),
				segment('xmit', 'host:eth0', 1000, 1400, '2'),
				segment('xmit', 'host:eth0', 2400, 1400, '3'),
			]),
		).toEqual([
			'web:eth0 xmit, host:web receive: segmented',
			'host:eth0 xmit: unexplained',
			'host:eth0 xmit: unexplained',
		]);
	});

	test('is not explained by pieces that leave a gap', () => {
		const [large] = waysOf([
			segment('receive', 'host:web', 1000, 2800),
			segment('xmit', 'host:eth0', 1000, 1400, '2'),
			segment('xmit', 'host:eth0', 2500, 1300, '3'),
		]);
		expect(large).toBe('host:web receive: unexplained');
	});

	test('wraps with the sequence numbers', () => {
		const [large] = waysOf([
			segment('receive', 'host:web', 0xffff_fc00, 2800),
			segment('xmit', 'host:eth0', 0xffff_fc00, 1400, '2'),
			segment('xmit', 'host:eth0', 0xffff_fc00 + 1400, 1400, '3'),
		]);
		expect(large).toBe('host:web receive: segmented');
	});
});

test('a large datagram has gone on in smaller ones that add up to it, and in no others', () => {
	const datagram = (...args: Parameters<typeof segment>): PacketEvent => ({
		...segment(...args),
		protocol: 'udp',
		tcp: null,
	});
	const large = () => datagram('note', 'web', 0, 1200);
	const pieces = (...sizes: number[]) =>
		sizes.map((size, index) => datagram('xmit', 'web:eth0', 0, size, `${index + 2}`));
	expect(waysOf([large(), ...pieces(500, 500, 200)])[0]).toBe(': segmented');
	expect(waysOf([large(), ...pieces(500, 500, 100)])[0]).toBe(': unexplained');
	expect(waysOf([...pieces(500, 500), large(), ...pieces(200)]).at(2)).toBe(': unexplained');
});

test('small segments that are made into one have gone on in it', () => {
	expect(
		waysOf([
			segment('receive', 'host:eth0', 1000, 1400, '2'),
			segment('receive', 'host:eth0', 2400, 1400, '3'),
			segment('xmit', 'host:web', 1000, 2800, '2'),
		]),
	).toEqual(['host:eth0 receive: merged', 'host:eth0 receive: merged', 'host:web xmit: unexplained']);
});

test('a segment that was lost is not explained by the same bytes sent again', () => {
	expect(
		waysOf([
			segment('xmit', 'web:eth0', 1000, 1400),
			segment('xmit', 'web:eth0', 1000, 1400, '2'),
			segment('tcp deliver', 'peer', 1000, 1400, '2'),
		]),
	).toEqual(['web:eth0 xmit: unexplained', 'web:eth0 xmit, peer tcp deliver: delivered']);
});

test('a packet that comes to a place again is another one, unless it goes in a circle', () => {
	const circle = [segment('redirect', 'host:web', 1, 10), segment('redirect', 'host:web', 1, 10)];
	expect(waysOf(circle)).toEqual(['host:web ingress, host:web ingress: unexplained']);
	const twice = [segment('redirect', 'host:web', 1, 10), segment('redirect', 'host:web', 1, 10, '2')];
	expect(waysOf(twice)).toHaveLength(2);
});

test('a packet and its clone, which are on their way at once, are told apart', () => {
	const clone = (kind: PacketEvent['kind'], place: string) => ({ ...segment(kind, place, 1, 10, '2'), head: '1' });
	expect(
		waysOf([
			segment('qdisc', 'host:eth0', 1, 10),
			clone('xmit', 'host:eth0'),
			segment('xmit', 'host:eth0', 1, 10),
			clone('receive', 'peer:eth0'),
			segment('receive', 'peer:eth0', 1, 10),
			{ ...segment('drop', 'peer:eth0', 1, 10), reason: 'DUP_FRAG' },
		]),
	).toEqual([
		'host:eth0 qdisc, host:eth0 xmit, peer:eth0 receive: unexplained',
		'host:eth0 xmit, peer:eth0 receive, drop DUP_FRAG: dropped',
	]);
});

test("what a socket frees, when no device has it any more, does not turn a packet's direction", () => {
	const [packet] = packetPaths([segment('xmit', 'host:eth0', 1, 10), segment('drop', '0', 1, 10)], 0);
	expect(packet).toMatchObject({ direction: 'out', fate: 'dropped' });
});

test('what waits where it was last seen is queued', () => {
	const enqueued = { ...segment('qdisc', 'host:eth0', 1, 10), symbol: 'qdisc_enqueue' };
	expect(waysOf([enqueued])).toEqual(['host:eth0 qdisc: queued']);
	const dequeued = { ...segment('qdisc', 'host:eth0', 1, 10), symbol: 'qdisc_dequeue' };
	expect(waysOf([enqueued, dequeued])).toEqual(['host:eth0 qdisc: unexplained']);
});

test('into a qdisc and out of it is one hop', () => {
	const events = [segment('qdisc', 'host:eth0', 1, 10), segment('qdisc', 'host:eth0', 1, 10)];
	expect(waysOf([...events, segment('xmit', 'host:eth0', 1, 10)])).toEqual([
		'host:eth0 qdisc, host:eth0 xmit: unexplained',
	]);
});

test('a fragment that is freed with the datagram it was put into was not dropped', () => {
	const datagram = (kind: PacketEvent['kind'], place: string, more: Partial<PacketEvent> = {}): PacketEvent => ({
		...segment(kind, place, 0, 1000, '2'),
		protocol: 'udp',
		tcp: null,
		...more,
	});
	const fragment = { fragment: 1448, payload: 500, skb: '3', head: '3' };
	const freed = { reason: 'NOT_SPECIFIED', function: 'skb_release_data' };
	expect(
		waysOf([
			datagram('receive', 'peer:eth0', fragment),
			datagram('udp deliver', 'peer', { payload: 1940 }),
			datagram('drop', 'peer', { ...fragment, ...freed }),
		]),
	).toEqual(['peer:eth0 receive: merged', 'peer udp deliver: delivered']);
});

/** A datagram or a piece of one; those of a test share their buffers only where it says so. */
function udp(kind: PacketEvent['kind'], place: string, more: Partial<PacketEvent> = {}): PacketEvent {
	return { ...segment(kind, place, 0, 4), protocol: 'udp', tcp: null, ...more };
}

test('a fragment that was lost is not explained by another datagram between the same two', () => {
	const events = [
		udp('receive', 'peer:eth0', { fragment: 0, payload: 1440, ipId: 7 }),
		udp('receive', 'peer:eth0', { fragment: 1448, payload: 500, ipId: 7, skb: '2', head: '2' }),
		udp('udp deliver', 'peer', { destinationPort: 54, skb: '3', head: '3' }),
	];
	expect(waysOf(events)).toEqual([
		'peer:eth0 receive: unexplained',
		'peer:eth0 receive: unexplained',
		'peer udp deliver: delivered',
	]);
});

test('a datagram that was lost is not explained by the fragments of another', () => {
	const events = [
		udp('receive', 'host:web', { payload: 3000 }),
		udp('xmit', 'host:eth0', { fragment: 0, payload: 800, ipId: 7, skb: '2', head: '2' }),
	];
	expect(waysOf(events)[0]).toBe('host:web receive: unexplained');
});

test('an ICMP error that was lost is not explained by the packet that it quotes', () => {
	const addresses = Buffer.from('20010db8000000000000000000000001' + '20010db8000000000000000000000002', 'hex');
	const header = Buffer.concat([Buffer.alloc(8), addresses]);
	const icmp = { type: 1, code: 4, id: 0, sequence: 0 };
	const error = udp('receive', 'peer:eth0', {
		protocol: 'icmp',
		icmp,
		bytes: Buffer.concat([Buffer.alloc(48), header]),
	});
	const quoted = udp('xmit', 'peer:eth0', { bytes: header, skb: '2', head: '2' });
	expect(waysOf([error, quoted])[0]).toBe('peer:eth0 receive: unexplained');
});

test('a clone that is dropped is not the end of the packet it was made of', () => {
	expect(
		waysOf([
			udp('xmit', 'host:eth0'),
			udp('drop', 'host:eth0', { skb: '2', reason: 'QDISC_DROP' }),
			udp('udp deliver', 'peer'),
		]),
	).toEqual(['host:eth0 xmit, peer udp deliver: delivered', 'drop QDISC_DROP: dropped']);
});

test('two datagrams alike, of which XDP copies the buffers, keep to their own way', () => {
	const xdp = { name: 'look', attach: 'xdp', direction: 'ingress', verdict: 'pass' } as const;
	const first = { skb: '1', head: '1' };
	const second = { skb: '2', head: '2' };
	expect(
		waysOf([
			udp('xmit', 'peer:eth0', first),
			udp('xmit', 'peer:eth0', second),
			udp('program', 'host:eth0', { skb: '0', head: 'a', program: xdp }),
			udp('program', 'host:eth0', { skb: '0', head: 'b', program: xdp }),
			udp('receive', 'host:eth0', { skb: '3', head: 'a' }),
			udp('receive', 'host:eth0', { skb: '4', head: 'b' }),
		]),
	).toEqual([
		'peer:eth0 xmit, host:eth0 ingress, host:eth0 receive: unexplained',
		'peer:eth0 xmit, host:eth0 ingress, host:eth0 receive: unexplained',
	]);
});
