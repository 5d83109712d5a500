/**
 * The hops of packets as a capture file (pcapng, draft-ietf-opsawg-pcapng) that Wireshark and tshark open: a packet once for each of its
 * hops, with the bytes it had there and the hop as its comment; an interface for each place. Pure: answers the bytes of the file.
 */
import { formatStep } from './path.ts';
import type { Hop, PacketEvent, PacketPath } from './types.ts';

/** Where the capture comes from: Wireshark's “Capture File Properties”. */
export interface CaptureMeta {
	/** what ran the kernel: `qemu, tcg` */
	hardware: string;
	/** `linux 7.3.4` */
	os: string;
}

const BLOCK = { section: 0x0a0d0d0a, interface: 1, packet: 6 } as const;
const OPTION = { end: 0, comment: 1, hardware: 2, os: 3, application: 4, interfaceName: 2, resolution: 9 } as const;
const BYTE_ORDER = 0x1a2b3c4d;
/** packets begin with their IP header, of either version */
const LINKTYPE_RAW = 101;
/** 10⁻⁹ seconds */
const NANOSECONDS = 9;

interface Frame {
	place: string;
	/** nanoseconds since the guest's boot */
	time: number;
	bytes: Uint8Array;
	/** of the whole packet; `bytes` may be less */
	length: number;
	comment: string;
}

/** Timestamps are those of the guest: nanoseconds since its boot, which readers show as the morning of 1 January 1970. */
export function pcapng(packets: readonly PacketPath[], meta: CaptureMeta): Uint8Array {
	const frames = packets.flatMap(framesOf).sort((a, b) => a.time - b.time);
	const places = [...new Set(frames.map(({ place }) => place))];
	return Buffer.concat([
		sectionHeader(meta),
		...places.map(interfaceDescription),
		...frames.map((frame) => enhancedPacket(frame, places.indexOf(frame.place))),
	]);
}

function framesOf(packet: PacketPath): Frame[] {
	return packet.hops.map((hop, index) => {
		const event = eventOf(packet, hop);
		const length = ipLength(event.bytes) || event.length;
		return {
			place: hop.device === null ? hop.netns : `${hop.netns}:${hop.device}`,
			time: hop.time,
			// behind what the IP header counts there may be padding of the wire
			bytes: event.bytes.subarray(0, length),
			length,
			comment: `${packet.direction} ${packet.packet.detail}, hop ${index + 1} of ${packet.hops.length}: ${commentOn(hop)}`,
		};
	});
}

function eventOf({ events }: PacketPath, { time, symbol, hop }: Hop): PacketEvent {
	const event =
		events.find((one) => one.time === time && one.symbol === symbol) ?? events.find((one) => one.time === time);
	if (event) return event;
	throw new Error(`the hop ${hop} at ${time} ns has no event: a packet's events are to be passed with its hops`);
}

/** `host:web ingress[netkit egress_neigh → redirect] · socket · sender's context` */
function commentOn(hop: Hop): string {
	return [
		formatStep(hop),
		hop.hop.startsWith('drop ') && `by ${hop.symbol}`,
		hop.socket ? 'socket' : 'no socket',
		hop.softirq ? 'softirq' : "sender's context",
		hop.mark !== 0 && `mark 0x${hop.mark.toString(16)}`,
	]
		.filter(Boolean)
		.join(' · ');
}

/** Bytes of the packet by its own IP header; 0 of one that is larger than a header can say (BIG TCP). */
function ipLength(bytes: Uint8Array): number {
	const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (header.readUInt8(0) >> 4 === 4) return header.readUInt16BE(2);
	const payload = header.readUInt16BE(4);
	return payload && payload + 40;
}

function sectionHeader({ hardware, os }: CaptureMeta): Buffer {
	const body = Buffer.alloc(16);
	body.writeUInt32LE(BYTE_ORDER, 0);
	body.writeUInt16LE(1, 4); // version 1.0
	body.writeBigInt64LE(-1n, 8); // a section as long as the file
	return block(BLOCK.section, body, [
		[OPTION.hardware, hardware],
		[OPTION.os, os],
		[OPTION.application, 'pathproof'],
	]);
}

function interfaceDescription(place: string): Buffer {
	const body = Buffer.alloc(8); // and no limit to what is captured of a packet: that differs
	body.writeUInt16LE(LINKTYPE_RAW, 0);
	return block(BLOCK.interface, body, [
		[OPTION.interfaceName, place],
		[OPTION.resolution, Uint8Array.of(NANOSECONDS)],
	]);
}

function enhancedPacket({ time, bytes, length, comment }: Frame, place: number): Buffer {
	const body = Buffer.alloc(20);
	body.writeUInt32LE(place, 0);
	body.writeUInt32LE(Math.floor(time / 2 ** 32), 4);
	body.writeUInt32LE(time % 2 ** 32, 8);
	body.writeUInt32LE(bytes.length, 12);
	body.writeUInt32LE(length, 16);
	return block(BLOCK.packet, Buffer.concat([body, padded(bytes)]), [[OPTION.comment, comment]]);
}

type BlockOption = [code: number, value: string | Uint8Array];

/** Type and length, the body, options, and the length again, so that a file can be read backwards. */
function block(type: number, body: Buffer, options: readonly BlockOption[]): Buffer {
	const written = Buffer.concat([body, ...options.map(writeOption), writeOption([OPTION.end, ''])]);
	const head = Buffer.alloc(8);
	const length = written.length + 12;
	head.writeUInt32LE(type, 0);
	head.writeUInt32LE(length, 4);
	return Buffer.concat([head, written, head.subarray(4)]);
}

function writeOption([code, value]: BlockOption): Buffer {
	const bytes = Buffer.from(value);
	const head = Buffer.alloc(4);
	head.writeUInt16LE(code, 0);
	head.writeUInt16LE(bytes.length, 2);
	return Buffer.concat([head, padded(bytes)]);
}

/** All in a pcapng begins at a multiple of four. */
function padded(bytes: Uint8Array): Buffer {
	return Buffer.concat([bytes], Math.ceil(bytes.length / 4) * 4);
}
