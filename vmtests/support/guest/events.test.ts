import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeEvent, EVENT_SIZE } from './events.ts';
import { HOOKS } from './symbols.ts';

const HEADER = readFileSync(new URL('../../../bpf/include/trace.h', import.meta.url), 'utf8');

const names = {
	netns: new Map([[4026531840, 'host']]),
	dropReason: (reason: number) => `REASON ${reason}`,
	program: () => ({ name: 'mine', attach: 'tcx', direction: 'ingress' as const, verdict: 'pass' }),
};

/** An event as the kernel writes it, in the order of struct event. */
function record(hook: number, change: (bytes: Buffer) => void = () => undefined): Buffer {
	const bytes = Buffer.alloc(EVENT_SIZE);
	bytes.writeBigUInt64LE(1_000n, 0);
	bytes.writeBigUInt64LE(0xffff_8880_0123_4560n, 8);
	bytes.writeUInt32LE(4026531840, 32);
	bytes.writeUInt32LE(3, 36);
	bytes.writeUInt8(hook, 62);
	bytes.writeUInt8(1 | 2, 63);
	bytes.write('web', 64);
	Buffer.from('20010db8000000020000000000000010', 'hex').copy(bytes, 80);
	Buffer.from('20010db8000000010000000000000002', 'hex').copy(bytes, 96);
	bytes.writeUInt16LE(40000, 120);
	bytes.writeUInt16LE(53, 122);
	bytes.writeUInt8(6, 128);
	bytes.writeUInt8(17, 129);
	change(bytes);
	return bytes;
}

test('the hooks of the table are those of enum hook, in the same order', () => {
	const numbered = HEADER.match(/enum hook \{(.*?)\}/s)![1]!
		.match(/HOOK_\w+/g)!
		.map((name) => name.slice('HOOK_'.length));
	const table = HOOKS.map(({ symbol }) => (symbol === 'bpf_prog' ? 'program' : symbol));
	expect(table).toEqual(numbered);
});

test('a record becomes an event with the names of this guest', () => {
	expect(decodeEvent(record(0), names)).toMatchObject({
		time: 1000,
		kind: 'xmit',
		symbol: 'net_dev_start_xmit',
		skb: 'ffff888001234560',
		netns: 'host',
		device: 'web',
		ifindex: 3,
		socket: true,
		softirq: true,
		family: 6,
		protocol: 'udp',
		source: '2001:db8:0:2::10',
		destination: '2001:db8:0:1::2',
		sourcePort: 40000,
		destinationPort: 53,
		program: null,
		reason: null,
	});
});

test('IPv4 addresses are the first four bytes', () => {
	const event = decodeEvent(
		record(0, (bytes) => {
			Buffer.from([192, 0, 2, 1]).copy(bytes, 80);
			bytes.writeUInt8(4, 128);
		}),
		names,
	);
	expect([event.family, event.source]).toEqual([4, '192.0.2.1']);
});

test('a netns without a name goes by its inode number', () => {
	expect(
		decodeEvent(
			record(0, (bytes) => bytes.writeUInt32LE(77, 32)),
			names,
		).netns,
	).toBe('77');
});

test('a drop has a reason, the end of a program a verdict', () => {
	expect(
		decodeEvent(
			record(2, (bytes) => bytes.writeUInt32LE(3, 56)),
			names,
		).reason,
	).toBe('REASON 3');
	expect(decodeEvent(record(3), names).program).toMatchObject({ name: 'mine', verdict: 'pass' });
});
