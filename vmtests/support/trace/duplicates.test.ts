import { expect, test } from 'vitest';
import { withoutRepeats } from './duplicates.ts';
import { event, packet } from './sample.ts';
import type { PacketEvent } from './types.ts';

const segment = (flags: number, more: Partial<PacketEvent> = {}) =>
	packet([], {
		events: [
			event('net_dev_start_xmit', { protocol: 'tcp', tcp: { flags, sequence: 91, acknowledged: 187 }, ...more }),
		],
	});

const FIN_ACK = 0x11;
const ACK = 0x10;

test('a segment sent again counts once, and so does the answer to it', () => {
	const fin = segment(FIN_ACK);
	const answered = segment(ACK, { sourcePort: 80, destinationPort: 40000 });
	expect(withoutRepeats([fin, segment(FIN_ACK), answered, { ...answered }])).toEqual([fin, answered]);
});

test('one of other bytes, other flags, or another flow is another', () => {
	const all = [segment(ACK), segment(FIN_ACK), segment(ACK, { payload: 7 }), segment(ACK, { sourcePort: 7 })];
	expect(withoutRepeats(all)).toEqual(all);
});

test('datagrams have no numbers: each is one of its own', () => {
	const datagram = packet([], { events: [event('net_dev_start_xmit')] });
	expect(withoutRepeats([datagram, { ...datagram }])).toHaveLength(2);
});
