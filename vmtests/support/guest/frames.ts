/**
 * Frames sent and heard past every protocol. A process of its own sends (frames.mjs), so that it may be one of a container's owner's; the
 * agent hears, in whatever netns.
 *
 *   stdin   {"id":1,"open":{"device":"eth0"}}              stdout   {"id":1}
 *           {"id":2,"socket":1,"frames":["…"]}                      {"id":2,"errors":{"0":"ENOBUFS"}}
 */
import { closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { inNetns } from '../../../kernels/agent/netns.ts';

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int family, int type, int protocol)');
const bind = libc.func('int bind(int fd, const void *address, uint32_t size)');
const setsockopt = libc.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t size)');
const getsockopt = libc.func('int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *size)');
const sendto = libc.func(
	'int64_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t addressSize)',
);
const recv = libc.func('int64_t recv(int fd, _Out_ void *data, size_t size, int flags)');
const syscall = libc.func('long syscall(long number, long command, _Inout_ void *attr, long size)');
const if_nametoindex = libc.func('unsigned int if_nametoindex(const char *name)');
const mmap = libc.func('void *mmap(void *address, size_t size, int protection, int flags, int fd, int64_t offset)');

const AF_INET6 = 10;
const AF_PACKET = 17;
const AF_XDP = 44;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const SOL_XDP = 283;
const EAGAIN = 11;

/** How a sender's socket is made. */
export interface SenderOptions {
	device: string;
	/** what the socket says that its frames carry; read off each frame without. 0x0003 (ETH_P_ALL) leaves it to the kernel */
	protocol?: number;
	/** round the qdisc and the device's egress hooks: PACKET_QDISC_BYPASS */
	bypass?: boolean;
	/** AF_XDP in copy mode instead of AF_PACKET */
	xdp?: boolean;
	/** each frame begins with a virtio_net_hdr of 10 bytes: PACKET_VNET_HDR */
	vnet?: boolean;
}

export interface SendRequest {
	socket: number;
	/** in hexadecimal */
	frames: string[];
	/** each of them so often, one after the other; 1 without */
	times?: number;
}

/** A call of bpf(2), by its number and the union bpf_attr in hexadecimal. */
export interface BpfRequest {
	bpf: number;
	attr: string;
}

type Request = { id: number } & ({ open: SenderOptions } | SendRequest | BpfRequest);

/** Sends one frame. Answers an errno, 0 where the kernel took it. */
type Send = (frame: Buffer) => number;

/** What frames.mjs runs, until standard input ends. */
export async function serveFrames(): Promise<void> {
	const senders: Send[] = [];
	const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
	say({ id: 0 });
	for await (const line of createInterface({ input: process.stdin })) {
		const request = JSON.parse(line) as Request;
		try {
			if ('open' in request) {
				senders.push(request.open.xdp ? openXdp(request.open) : openPacket(request.open));
				say({ id: request.id, socket: senders.length - 1 });
			} else if ('bpf' in request) say({ id: request.id, error: callBpf(request) });
			else say({ id: request.id, errors: sendAll(senders[request.socket]!, request) });
		} catch (error) {
			say({ id: request.id, failed: String(error) });
		}
	}
}

/** The name of its error, null where the kernel did it. */
function callBpf({ bpf, attr }: BpfRequest): string | null {
	const bytes = Buffer.from(attr, 'hex');
	const number = process.arch === 'arm64' ? 280 : 321;
	return syscall(number, bpf, bytes, bytes.length) < 0 ? getSystemErrorName(-koffi.errno()) : null;
}

/** By the frame's place, the name of its last error. */
function sendAll(send: Send, { frames, times = 1 }: SendRequest): Record<number, string> {
	const bytes = frames.map((frame) => Buffer.from(frame, 'hex'));
	const errors: Record<number, string> = {};
	for (let round = 0; round < times; round++)
		for (const [index, frame] of bytes.entries()) {
			const errno = send(frame);
			if (errno) errors[index] = getSystemErrorName(-errno);
		}
	return errors;
}

function openPacket({ device, protocol, bypass, vnet }: SenderOptions): Send {
	const fd = check(socket(AF_PACKET, SOCK_RAW, 0), 'socket(AF_PACKET)');
	if (bypass) setNumber(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	if (vnet) setNumber(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	const index = indexOf(device);
	const typeAt = (vnet ? 10 : 0) + 12;
	return (frame) => {
		const said = protocol ?? (frame.length >= typeAt + 2 ? frame.readUInt16BE(typeAt) : ETH_P_ALL);
		return sendto(fd, frame, frame.length, 0, linkAddress(index, said), 20) < 0 ? koffi.errno() : 0;
	};
}

/** struct sockaddr_ll */
function linkAddress(index: number, protocol: number): Buffer {
	const address = Buffer.alloc(20);
	address.writeUInt16LE(AF_PACKET, 0);
	address.writeUInt16BE(protocol, 2);
	address.writeInt32LE(index, 4);
	address[11] = 6;
	return address;
}

const CHUNK = 4096;
const CHUNKS = 16;
const XDP = {
	offsets: 1,
	tx: 3,
	umem: 4,
	fill: 5,
	completion: 6,
	copy: 2,
	txPage: 0x8000_0000,
	completionPage: 0x1_8000_0000,
};
const SHARED = 1;
const PRIVATE_ANONYMOUS = 0x22;

/** linux/if_xdp.h: one piece of memory, of which frames are sent one after the other */
function openXdp({ device }: SenderOptions): Send {
	const fd = check(socket(AF_XDP, SOCK_RAW, 0), 'socket(AF_XDP)');
	const memory = map(CHUNK * CHUNKS, PRIVATE_ANONYMOUS, -1, 0);
	const registration = Buffer.alloc(32);
	registration.writeBigUInt64LE(memory.address, 0);
	registration.writeBigUInt64LE(BigInt(CHUNK * CHUNKS), 8);
	registration.writeUInt32LE(CHUNK, 16);
	check(setsockopt(fd, SOL_XDP, XDP.umem, registration, registration.length), 'XDP_UMEM_REG');
	for (const ring of [XDP.fill, XDP.completion, XDP.tx]) setNumber(fd, SOL_XDP, ring, CHUNKS);
	// producer, consumer, descriptors and flags of receive, transmit, fill and completion ring
	const offsets = Buffer.alloc(128);
	check(getsockopt(fd, SOL_XDP, XDP.offsets, offsets, [offsets.length]), 'XDP_MMAP_OFFSETS');
	const ring = (at: number) => [0, 8, 16].map((field) => Number(offsets.readBigUInt64LE(at + field)));
	const [produced = 0, , descriptors = 0] = ring(32);
	const [completed = 0, taken = 0] = ring(96);
	const transmit = map(descriptors + CHUNKS * 16, SHARED, fd, XDP.txPage).bytes;
	const completion = map(Math.max(completed, taken) + CHUNKS * 8 + 64, SHARED, fd, XDP.completionPage).bytes;
	const address = Buffer.alloc(16);
	address.writeUInt16LE(AF_XDP, 0);
	address.writeUInt16LE(XDP.copy, 2);
	address.writeUInt32LE(indexOf(device), 4);
	check(bind(fd, address, address.length), 'bind(AF_XDP)');
	let next = 0;
	return (frame) => {
		const slot = next % CHUNKS;
		frame.copy(memory.bytes, slot * CHUNK);
		transmit.writeBigUInt64LE(BigInt(slot * CHUNK), descriptors + slot * 16);
		transmit.writeUInt32LE(frame.length, descriptors + slot * 16 + 8);
		transmit.writeUInt32LE(0, descriptors + slot * 16 + 12);
		transmit.writeUInt32LE(++next, produced);
		const status = sendto(fd, null, 0, MSG_DONTWAIT, null, 0);
		const errno = status < 0 ? koffi.errno() : 0;
		completion.writeUInt32LE(completion.readUInt32LE(completed), taken);
		return errno;
	};
}

function map(size: number, flags: number, fd: number, offset: number): { address: bigint; bytes: Buffer } {
	const address = mmap(null, size, 3, flags, fd, offset) as bigint;
	if (BigInt.asIntN(64, address) === -1n) throw new Error(`mmap: ${getSystemErrorName(-koffi.errno())}`);
	return { address, bytes: Buffer.from(koffi.view(address, size)) };
}

function indexOf(device: string): number {
	const index = if_nametoindex(device);
	if (!index) throw new Error(`there is no device ${device}`);
	return index;
}

function setNumber(fd: number, level: number, name: number, value: number): void {
	const bytes = Buffer.alloc(4);
	bytes.writeInt32LE(value);
	check(setsockopt(fd, level, name, bytes, 4), `setsockopt(${level}, ${name})`);
}

function check(status: number, what: string): number {
	if (status < 0) throw new Error(`${what}: ${getSystemErrorName(-koffi.errno())}`);
	return status;
}

/** Of the agent: everything that a device receives from now on. */
const captures = new Set<number>();

/** Answers what `heard` and `stopHearing` take. `netns`: null for the guest's initial one. */
export function hear(netns: string | null, device: string): number {
	const open = () => {
		const fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), 'socket(AF_PACKET)');
		setNumber(fd, SOL_SOCKET, SO_RCVBUFFORCE, 2 ** 24);
		setNumber(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
		check(bind(fd, linkAddress(indexOf(device), ETH_P_ALL), 20), 'bind(AF_PACKET)');
		return fd;
	};
	const fd = netns === null ? open() : inNetns(netns, open);
	captures.add(fd);
	return fd;
}

/** What comes to a UDP port of that netns, of either family, once its IP stack is through with it. */
export function hearDatagrams(netns: string | null, port: number): number {
	const open = () => {
		const fd = check(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0), 'socket(AF_INET6)');
		const address = Buffer.alloc(28);
		address.writeUInt16LE(AF_INET6, 0);
		address.writeUInt16BE(port, 2);
		check(bind(fd, address, address.length), 'bind(AF_INET6)');
		return fd;
	};
	const fd = netns === null ? open() : inNetns(netns, open);
	captures.add(fd);
	return fd;
}

const heardFrame = Buffer.alloc(2 ** 17);

/** The frames since it was last asked. A VLAN tag that the kernel took off is not in them. */
export function heard(capture: number): Buffer[] {
	const frames: Buffer[] = [];
	for (;;) {
		const size = Number(recv(capture, heardFrame, heardFrame.length, MSG_DONTWAIT));
		if (size >= 0) frames.push(Buffer.from(heardFrame.subarray(0, size)));
		else if (koffi.errno() === EAGAIN) return frames;
		else check(size, 'recv');
	}
}

export function stopHearing(capture: number): void {
	if (captures.delete(capture)) closeSync(capture);
}
