import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeEvents, EVENT_SIZE, type EventNames, OFFSET, RECORD_HEADER } from './events.ts';
import { HOOKS } from './hooks.ts';

const HEADER = readFileSync(new URL('../../../bpf/include/trace.h', import.meta.url), 'utf8');
const HOST = 4026531840;

const NAMES: EventNames = {
	netns: [[HOST, 'host']],
	reasons: [[3, 'NO_SOCKET']],
	functions: [[0xffff_ffff_8100_0000n, '__udp6_lib_rcv']],
	programs: [
		{
			id: 7,
			netns: HOST,
			ifindex: 3,
			ingress: true,
			result: -1,
			name: 'mine',
			attach: 'tcx',
			direction: 'ingress',
			verdict: 'next',
		},
	],
};

const ADDRESSES = '20010db8000000020000000000000010 20010db8000000010000000000000002';
/** From 2001:db8:0:2::10 port 40000 to 2001:db8:0:1::2 port 53, eight bytes behind it. */
const UDP6 = `60000000 0010 11 40 ${ADDRESSES} 9c40 0035 0010 0000 0000000000000000`;
const UDP4 = '45000024 12344000 4011 0000 c0000201 c0000202 9c40 0035 0010 0000 0000000000000000';

/** An event as the kernel writes it, in the order of struct event, in a record of the ring. */
function record(symbol: string, packet: string, change: (bytes: Buffer) => void = () => undefined): Buffer {
	const captured = Buffer.from(packet.replaceAll(' ', ''), 'hex');
	const whole = Buffer.alloc(RECORD_HEADER + EVENT_SIZE);
	const bytes = whole.subarray(RECORD_HEADER);
	bytes.writeBigUInt64LE(1_000n, OFFSET.time);
	bytes.writeBigUInt64LE(0xffff_8880_0123_4560n, OFFSET.skb);
	bytes.writeUInt32LE(HOST, OFFSET.netns);
	bytes.writeUInt32LE(3, OFFSET.ifindex);
	bytes.writeUInt32LE(captured.length, OFFSET.length);
	bytes.writeUInt16LE(captured.length, OFFSET.captured);
	bytes.writeUInt8(
		HOOKS.findIndex((hook) => hook.symbol === symbol),
		OFFSET.hook,
	);
	bytes.writeUInt8(1 | 2, OFFSET.flags);
	bytes.write('web', OFFSET.device);
	captured.copy(bytes, OFFSET.bytes);
	change(bytes);
	return whole;
}

function decode(...args: Parameters<typeof record>) {
	return decodeEvents(record(...args), NAMES)[0]!;
}

test('the hooks of the table are those of enum hook, in the same order', () => {
	const numbered = HEADER.match(/enum hook \{(.*?)\}/s)![1]!
		.match(/HOOK_\w+/g)!
		.map((name) => name.slice('HOOK_'.length));
	const table = HOOKS.map(({ symbol }) => (symbol === 'bpf_prog' ? 'program' : symbol));
	expect(table).toEqual(numbered);
});

test('a record becomes an event with the names of its guest', () => {
	expect(decode('net_dev_start_xmit', UDP6)).toMatchObject({
		time: 1000,
		kind: 'xmit',
		symbol: 'net_dev_start_xmit',
		skb: 'ffff888001234560',
		netns: 'host',
		device: 'web',
		ifindex: 3,
		length: 56,
		payload: 8,
		socket: true,
		softirq: true,
		family: 6,
		protocol: 'udp',
		source: '2001:db8:0:2::10',
		destination: '2001:db8:0:1::2',
		sourcePort: 40000,
		destinationPort: 53,
		fragment: null,
		ipId: null,
		nonce: null,
		program: null,
		hook: null,
		reason: null,
		function: null,
	});
});

test('IPv4 is read from its own header', () => {
	expect(decode('net_dev_start_xmit', UDP4)).toMatchObject({
		family: 4,
		source: '192.0.2.1',
		destination: '192.0.2.2',
		sourcePort: 40000,
		ipId: 0x1234,
		fragment: null,
		payload: 8,
	});
});

test('an Ethernet header in front is no payload', () => {
	const withHeader = decode('net_dev_start_xmit', UDP6, (bytes) => {
		bytes.writeUInt32LE(56 + 14, OFFSET.length);
		bytes.writeInt32LE(14, OFFSET.network);
	});
	expect(withHeader).toMatchObject({ length: 70, payload: 8 });
});

test('a fragment has an offset and, unless it is the first, no ports', () => {
	const first = `60000000 0018 2c 40 ${ADDRESSES} 11000001 0000abcd 9c40 0035 0bb8 0000 0000000000000000`;
	expect(decode('net_dev_start_xmit', first)).toMatchObject({ fragment: 0, ipId: 0xabcd, destinationPort: 53 });
	const later = `60000000 0018 2c 40 ${ADDRESSES} 110005a8 0000abcd 6161616161616161 6161616161616161`;
	expect(decode('net_dev_start_xmit', later)).toMatchObject({
		protocol: 'udp',
		fragment: 0x5a8,
		ipId: 0xabcd,
		destinationPort: null,
	});
});

test('a nonce is found in the payload, at whatever depth', () => {
	const nonce = Buffer.from('pathproof-k3j9x1').toString('hex');
	expect(decode('net_dev_start_xmit', UDP6.replace(/0{16}$/, nonce)).nonce).toBe('pathproof-k3j9x1');
});

test('a netns without a name goes by its inode number', () => {
	expect(decode('net_dev_start_xmit', UDP6, (bytes) => bytes.writeUInt32LE(77, OFFSET.netns)).netns).toBe('77');
});

test('a drop has the reason and the function, by the names that the kernel has for them', () => {
	const named = decode('kfree_skb', UDP6, (bytes) => {
		bytes.writeUInt32LE(3, OFFSET.reason);
		bytes.write('veth_xmit [veth]', OFFSET.function);
	});
	expect(named).toMatchObject({ kind: 'drop', reason: 'NO_SOCKET', function: 'veth_xmit' });
	const unnamed = decode('kfree_skb', UDP6, (bytes) => bytes.writeBigUInt64LE(0xffff_ffff_8100_0000n, OFFSET.location));
	expect(unnamed).toMatchObject({ reason: '__udp6_lib_rcv', function: '__udp6_lib_rcv' });
});

test('the end of a program has its name and verdict', () => {
	const run = decode('bpf_prog', UDP6, (bytes) => {
		bytes.writeUInt32LE(7, OFFSET.program);
		bytes.writeInt32LE(-1, OFFSET.result);
		bytes.writeUInt8(4, OFFSET.flags);
	});
	expect(run.program).toEqual({ name: 'mine', attach: 'tcx', direction: 'ingress', verdict: 'next' });
});

test('a hook of netfilter has its name', () => {
	const forward = decode('nf_hook_slow', UDP6, (bytes) => bytes.writeInt32LE(2 | (10 << 8), OFFSET.result));
	expect(forward).toMatchObject({ kind: 'netfilter', hook: 'forward' });
	const ingress = decode('nf_hook_slow', UDP6, (bytes) => bytes.writeInt32LE(0 | (5 << 8), OFFSET.result));
	expect(ingress.hook).toBe('ingress');
});
