import { describe, expect, test } from 'vitest';
import {
	addressBytes,
	arp,
	buildFrame,
	buildPacket,
	checksum,
	echoRequest,
	emptyOptions,
	neighbourMessage,
	PROTOCOL,
	routeOption,
	routingHeader,
	tcp,
	udp,
} from './frames.ts';

const SIX = { source: '2001:db8::1', destination: '2001:db8::2' };
const FOUR = { source: '192.0.2.1', destination: '192.0.2.2' };

function hex(bytes: Buffer): string {
	return bytes.toString('hex');
}

test('addresses of either family are written as on the wire', () => {
	expect(hex(addressBytes('192.0.2.1'))).toBe('c0000201');
	expect(hex(addressBytes('::1'))).toBe('00000000000000000000000000000001');
	expect(hex(addressBytes('::'))).toBe('00000000000000000000000000000000');
	expect(hex(addressBytes('2001:db8::2'))).toBe('20010db8000000000000000000000002');
	expect(hex(addressBytes('ff02::1:ff00:10'))).toBe('ff0200000000000000000001ff000010');
	expect(hex(addressBytes('::ffff:192.0.2.1'))).toBe('00000000000000000000ffffc0000201');
});

describe('checksums', () => {
	test('are those of the kernel, of a frame that tcpdump called correct', () => {
		const frame = buildFrame({
			from: '02:00:5e:00:53:01',
			to: '02:00:5e:00:53:02',
			payload: {
				source: '2001:db8:0:2::10',
				destination: '2001:db8:0:1::2',
				transport: udp(9, 9, 'good-nonce'),
			},
		});
		expect(hex(frame)).toBe(
			'02005e00530202005e00530186dd600000000012114020010db800000002000000000000001020010db8000000010000000000000002000900090012cd1b676f6f642d6e6f6e6365',
		);
	});

	test('sum up to nothing over what they cover, IPv4 header and ICMP', () => {
		const packet = buildPacket({ ...FOUR, transport: echoRequest(4, 'odd') });
		expect(checksum(packet.subarray(0, 20))).toBe(0);
		expect(checksum(packet.subarray(20))).toBe(0);
	});

	test('cover the pseudo header of IPv4', () => {
		const packet = buildPacket({ ...FOUR, transport: tcp(1, 80) });
		const pseudo = Buffer.from('c0000201c000020200060014', 'hex');
		expect(checksum(Buffer.concat([pseudo, packet.subarray(20)]))).toBe(0);
	});

	test('are computed with the last station of a route', () => {
		const route = { ...SIX, destination: '2001:db8::3', extensions: [routingHeader(0, ['2001:db8::2'])] };
		const packet = buildPacket({ ...route, finalDestination: '2001:db8::2', transport: udp(1, 2, '') });
		const direct = buildPacket({ ...SIX, transport: udp(1, 2, '') });
		expect(hex(packet.subarray(-8))).toBe(hex(direct.subarray(-8)));
	});
});

test('extension headers name each other in their order, and the length counts them', () => {
	const extensions = [emptyOptions(PROTOCOL.hopByHop), routingHeader(4, ['2001:db8::3'])];
	const packet = buildPacket({ ...SIX, extensions, transport: udp(1, 2, '') });
	expect(packet.readUInt16BE(4)).toBe(8 + 24 + 8);
	expect(packet[6]).toBe(PROTOCOL.hopByHop);
	expect(hex(packet.subarray(40, 48))).toBe('2b00010400000000');
	expect(hex(packet.subarray(48, 56))).toBe('1102040100000000');
	expect(hex(packet.subarray(56, 72))).toBe(hex(addressBytes('2001:db8::3')));
});

test('a fragment is a piece of the whole, whose checksum is the first one’s', () => {
	const transport = udp(1, 2, Buffer.alloc(24, 0x61));
	const whole = buildPacket({ ...SIX, transport }).subarray(40);
	const first = buildPacket({ ...SIX, transport, fragment: { id: 7, offset: 0, length: 16, more: true } });
	const last = buildPacket({ ...SIX, transport, fragment: { id: 7, offset: 16, more: false } });
	expect(hex(first.subarray(40, 48))).toBe('1100000100000007');
	expect(hex(last.subarray(40, 48))).toBe('1100001000000007');
	expect(hex(Buffer.concat([first.subarray(48), last.subarray(48)]))).toBe(hex(whole));
	const four = buildPacket({ ...FOUR, transport, fragment: { id: 7, offset: 16, more: false } });
	expect(four.readUInt16BE(6)).toBe(2);
	expect(checksum(four.subarray(0, 20))).toBe(0);
});

test('IPv4 options lengthen the header in words', () => {
	const packet = buildPacket({ ...FOUR, options: routeOption(131, ['192.0.2.9']), transport: udp(1, 2, '') });
	expect(packet[0]).toBe(0x47);
	expect(hex(packet.subarray(20, 28))).toBe('01830704c0000209');
	expect(checksum(packet.subarray(0, 28))).toBe(0);
});

test('ARP and neighbour discovery are as their RFCs draw them', () => {
	const mac = '02:00:00:00:00:01';
	const said = { operation: 'reply', senderMac: mac, sender: '192.0.2.1', target: '192.0.2.2' } as const;
	expect(hex(arp(said))).toBe('0001080006040002020000000001c0000201000000000000c0000202');
	const { bytes } = neighbourMessage('advertisement', { target: 'fe80::1', mac });
	expect(hex(bytes)).toBe('8800000060000000fe8000000000000000000000000000010201020000000001');
});

test('tags stand between the addresses and the type', () => {
	const frame = buildFrame({
		tags: [
			{ id: 5, type: 0x88a8 },
			{ id: 0, priority: 7 },
		],
		payload: Buffer.from('x'),
	});
	expect(hex(frame)).toBe('00000000000000000000000088a800058100e000080678');
});
