import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { addressBytes } from '../addresses.ts';
import { Capture, lacksTcpdump } from './capture.ts';
import { lacksPrivateHost } from './private-host.ts';
import { eventually } from './scene.ts';
import { NODE, PROGRAM, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const WEB = ['2001:db8:0:2::10', '198.51.100.10'] as const;
const PEER = ['2001:db8:f::1', '203.0.113.1'] as const;
const lacks = lacksPrivateHost() ?? lacksTcpdump();
let scene: TurnedScene;
/** of web's eth0 and of the host's end */
let macs: Buffer;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make({ device: 'veth' });
	await scene.start([...PROGRAM, 'serve', '443', '80'], { netns: 'peer' });
	await scene.start([...PROGRAM, 'answer', '53', ...PEER], { netns: 'peer' });
	const mac = async (device: string, ...more: string[]) =>
		JSON.parse(await scene.host.done(['ip', ...more, '-j', 'link', 'show', device]))[0].address as string;
	const hex = [await mac('web'), await mac('eth0', '-n', 'web')].join('').replaceAll(':', '');
	macs = Buffer.from(hex, 'hex');
});
afterAll(() => scene?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

const UDP = 17;
const TCP = 6;
const HOP_BY_HOP = 0;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;

/** With a checksum that is none: who receives it is not asked. */
function udp(nonce: string, port = 53): Buffer {
	const header = Buffer.alloc(8);
	header.writeUInt16BE(40_000, 0);
	header.writeUInt16BE(port, 2);
	header.writeUInt16BE(8 + nonce.length, 4);
	header.writeUInt16BE(0xbeef, 6);
	return Buffer.concat([header, Buffer.from(nonce)]);
}

function tcp(nonce: string, flags: number): Buffer {
	const header = Buffer.alloc(20);
	header.writeUInt16BE(40_000, 0);
	header.writeUInt16BE(443, 2);
	header.writeUInt8(0x50, 12);
	header.writeUInt8(flags, 13);
	return Buffer.concat([header, Buffer.from(nonce)]);
}

function six(next: number, payload: Buffer): Buffer {
	const header = Buffer.alloc(8);
	header.writeUInt8(0x60, 0);
	header.writeUInt16BE(payload.length, 4);
	header.writeUInt8(next, 6);
	header.writeUInt8(64, 7);
	const type = Buffer.from('86dd', 'hex');
	return Buffer.concat([macs, type, header, addressBytes(WEB[0]), addressBytes(PEER[0]), payload]);
}

function four(protocol: number, payload: Buffer, fragment = 0): Buffer {
	const header = Buffer.alloc(20);
	header.writeUInt8(0x45, 0);
	header.writeUInt16BE(20 + payload.length, 2);
	header.writeUInt16BE(0x1234, 4);
	header.writeUInt16BE(fragment, 6);
	header.writeUInt8(64, 8);
	header.writeUInt8(protocol, 9);
	addressBytes(WEB[1]).copy(header, 12, 12);
	addressBytes(PEER[1]).copy(header, 16, 12);
	let sum = 0;
	for (let at = 0; at < 20; at += 2) sum += header.readUInt16BE(at);
	header.writeUInt16BE(0xffff & ~((sum & 0xffff) + (sum >> 16)), 10);
	return Buffer.concat([macs, Buffer.from('0800', 'hex'), header, payload]);
}

/** Of 8 bytes, with nothing in it. */
const options = (next: number) => Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]);
/** `at`: in bytes */
function piece(next: number, at: number, more: boolean, id = 7): Buffer {
	const header = Buffer.alloc(8);
	header.writeUInt8(next, 0);
	header.writeUInt16BE(at | Number(more), 2);
	header.writeUInt32BE(id, 4);
	return header;
}

/** Each as its owner puts it on eth0 himself, and round all programs there. */
const WAYS: Record<string, (nonce: string) => Buffer[]> = {
	'a datagram': (nonce) => [six(UDP, udp(nonce))],
	'a datagram of IPv4': (nonce) => [four(UDP, udp(nonce))],
	'a SYN with data': (nonce) => [six(TCP, tcp(nonce, 0x02))],
	'a segment of no connection': (nonce) => [six(TCP, tcp(nonce, 0x18))],
	'a segment of IPv4': (nonce) => [four(TCP, tcp(nonce, 0x18))],
	'a RST with data': (nonce) => [six(TCP, tcp(nonce, 0x04))],
	'destination options before it': (nonce) => [six(DESTINATION_OPTIONS, Buffer.concat([options(UDP), udp(nonce)]))],
	'hop-by-hop options before it': (nonce) => [six(HOP_BY_HOP, Buffer.concat([options(UDP), udp(nonce)]))],
	'both before it': (nonce) => [
		six(HOP_BY_HOP, Buffer.concat([options(DESTINATION_OPTIONS), options(UDP), udp(nonce)])),
	],
	'a fragment that is whole': (nonce) => [six(FRAGMENT, Buffer.concat([piece(UDP, 0, false), udp(nonce)]))],
	'two fragments': (nonce) => [
		six(FRAGMENT, Buffer.concat([piece(UDP, 0, true), udp(nonce).subarray(0, 8)])),
		six(FRAGMENT, Buffer.concat([piece(UDP, 8, false), Buffer.from(nonce)])),
	],
	'two fragments of IPv4': (nonce) => [
		four(UDP, udp(nonce).subarray(0, 8), 0x2000),
		four(UDP, Buffer.from(nonce), 0x0001),
	],
	'a later fragment alone': (nonce) => [six(FRAGMENT, Buffer.concat([piece(UDP, 8, false, 9), Buffer.from(nonce)]))],
	'a later fragment that says it is of another protocol': (nonce) => [
		six(FRAGMENT, Buffer.concat([piece(58, 8, false, 10), Buffer.from(nonce)])),
	],
	'options behind a fragment header': (nonce) => [
		six(FRAGMENT, Buffer.concat([piece(DESTINATION_OPTIONS, 0, false), options(UDP), udp(nonce)])),
	],
};

const SEND = fileURLToPath(new URL('frames.ts', import.meta.url));
/** Distinct ones: each says which way it went. */
const nonceOf = (name: string) => `nonce-${Object.keys(WAYS).indexOf(name)}.`;
/** No policy is about it, and it is the last. */
const last = () => six(UDP, udp('the-last', 9));

/** The ways by which its nonce came to the wire. */
async function leaving(how: 'round' | 'by-qdisc'): Promise<string[]> {
	await using wire = await Capture.start(scene.host, 'peer', 'eth0', '-Q', 'in', '-w', '-');
	const frames = [...Object.entries(WAYS).flatMap(([name, make]) => make(nonceOf(name))), last()];
	await scene.host.done([...NODE, SEND, 'eth0', how, ...frames.map((frame) => frame.toString('hex'))], {
		netns: 'web',
	});
	await eventually(() => expect(wire.bytes.includes('the-last')).toBe(true));
	return Object.keys(WAYS).filter((name) => wire.bytes.includes(nonceOf(name)));
}

test('without a policy each of 15 ways to send a nonce in clear leads to the wire', async () => {
	expect(await leaving('round')).toEqual(Object.keys(WAYS));
	expect(await leaving('by-qdisc')).toEqual(Object.keys(WAYS));
});

test('with one none does, whether it goes round the programs on eth0 or not', async () => {
	for (const [port, protocol] of [
		[443, 'tcp'],
		[53, 'udp'],
	] as const)
		for (const prefix of ['2001:db8:f::/48', '203.0.113.0/24']) await scene.turn(prefix, port, '--protocol', protocol);
	expect(await leaving('round')).toEqual([]);
	expect(await leaving('by-qdisc')).toEqual([]);
});
