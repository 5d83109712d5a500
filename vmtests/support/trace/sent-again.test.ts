import { describe, expect, test } from 'vitest';
import { segment, waysOf } from './sample.ts';
import type { PacketEvent } from './types.ts';

describe('a segment that TCP sends again while the first is under way', () => {
	/** As its socket's stack puts it out, in the clone that TCP sends each time. */
	const sent = (sequence: number, payload: number, skb = '1'): PacketEvent[] => [
		{ ...segment('note', 'web', sequence, payload, skb), symbol: 'ip6_output' },
		{ ...segment('note', 'web:eth0', sequence, payload, skb), symbol: 'net_dev_queue' },
		segment('xmit', 'web:eth0', sequence, payload, skb),
	];
	const unowned = (one: PacketEvent): PacketEvent => ({ ...one, socket: false });
	const forwarded = (sequence: number, payload: number, skb = '1'): PacketEvent[] =>
		[
			segment('receive', 'host:web', sequence, payload, skb),
			{ ...segment('note', 'host:eth0', sequence, payload, skb), symbol: 'net_dev_queue' },
		].map(unowned);
	const piece = (sequence: number, skb: string) => unowned(segment('xmit', 'host:eth0', sequence, 1400, skb));
	const arrived = (sequence: number, skb: string) => unowned(segment('tcp deliver', 'peer', sequence, 1400, skb));

	test('has pieces of its own, and the first keeps its own, though both are of one skb', () => {
		expect(
			waysOf([
				...sent(1000, 2800),
				...forwarded(1000, 2800),
				piece(1000, '2'),
				piece(2400, '3'),
				...sent(1000, 2800),
				...forwarded(1000, 2800),
				piece(1000, '4'),
				piece(2400, '5'),
				...['2', '4'].map((skb) => arrived(1000, skb)),
				...['3', '5'].map((skb) => arrived(2400, skb)),
			]),
		).toEqual([
			'web:eth0 xmit, host:web receive: segmented',
			'host:eth0 xmit, peer tcp deliver: delivered',
			'host:eth0 xmit, peer tcp deliver: delivered',
			'web:eth0 xmit, host:web receive: segmented',
			'host:eth0 xmit, peer tcp deliver: delivered',
			'host:eth0 xmit, peer tcp deliver: delivered',
		]);
	});

	test('is not what two programs tell of one, on two CPUs', () => {
		const [output, ...rest] = sent(1000, 1400);
		expect(waysOf([output!, { ...output!, time: output!.time + 1, cpu: 1 }, ...rest])).toEqual([
			'web:eth0 xmit: unexplained',
		]);
	});

	test('is not explained by the pieces of the first', () => {
		const packets = waysOf([
			...sent(1000, 2800),
			...forwarded(1000, 2800),
			piece(1000, '2'),
			piece(2400, '3'),
			...sent(1000, 2800),
			...forwarded(1000, 2800),
			arrived(1000, '2'),
			arrived(2400, '3'),
		]);
		expect(packets.at(-1)).toBe('web:eth0 xmit, host:web receive: unexplained');
	});

	test('is not taken for a piece of the first that is as large', () => {
		expect(
			waysOf([
				...sent(1000, 2800),
				...forwarded(1000, 2800),
				piece(1000, '2'),
				piece(2400, '3'),
				...sent(1000, 1400, '4'),
				...forwarded(1000, 1400, '4'),
				piece(1000, '4'),
				arrived(1000, '2'),
				arrived(2400, '3'),
				arrived(1000, '4'),
			]),
		).toEqual([
			'web:eth0 xmit, host:web receive: segmented',
			'host:eth0 xmit, peer tcp deliver: delivered',
			'host:eth0 xmit, peer tcp deliver: delivered',
			'web:eth0 xmit, host:web receive, host:eth0 xmit, peer tcp deliver: delivered',
		]);
	});

	test('is not given a piece of the first, which is cut up later', () => {
		expect(
			waysOf([
				...sent(1000, 2800),
				...forwarded(1000, 2800),
				...sent(1000, 1400, '4'),
				piece(1000, '2'),
				piece(2400, '3'),
				...forwarded(1000, 1400, '4'),
				piece(1000, '4'),
			]),
		).toEqual([
			'web:eth0 xmit, host:web receive: segmented',
			'web:eth0 xmit, host:web receive, host:eth0 xmit: unexplained',
			'host:eth0 xmit: unexplained',
			'host:eth0 xmit: unexplained',
		]);
	});
});
