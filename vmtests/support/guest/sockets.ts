/** Sockets as C has them: what Node's own cannot be, in another netns, and of frames. */
import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { addressBytes } from '../../../impl/addresses.ts';
import { check } from '../../../impl/libbpf/native.ts';

const libc = koffi.load('libc.so.6');
export const calls = {
	socket: libc.func('int socket(int family, int type, int protocol)'),
	bind: libc.func('int bind(int fd, const void *address, uint32_t size)'),
	sendto: libc.func(
		'long sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t addressSize)',
	),
	recvfrom: libc.func(
		'long recvfrom(int fd, _Out_ void *data, size_t size, int flags, _Out_ void *address, _Inout_ uint32_t *addressSize)',
	),
	ioctl: libc.func('int ioctl(int fd, unsigned long request, void *argument)'),
	access: libc.func('int access(const char *path, int mode)'),
};

export const AF = { inet: 2, inet6: 10, packet: 17 } as const;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;

export function openUdp6(): number {
	return check(calls.socket(AF.inet6, SOCK_DGRAM | SOCK_NONBLOCK, 0), 'a UDP socket');
}

/** Sends only: of protocol 0 it hears nothing. */
export function openPacket(): number {
	return check(calls.socket(AF.packet, SOCK_RAW | SOCK_NONBLOCK, 0), 'a packet socket');
}

/** struct sockaddr_in6 */
export function socketAddress(address: string, port: number): Buffer {
	const bytes = Buffer.alloc(28);
	bytes.writeUInt16LE(AF.inet6, 0);
	bytes.writeUInt16BE(port, 2);
	addressBytes(address).copy(bytes, 8);
	return bytes;
}

/** struct sockaddr_ll. `protocol`: what the socket says that the frame carries, an ethertype. */
export function linkAddress(ifindex: number, protocol: number): Buffer {
	const bytes = Buffer.alloc(20);
	bytes.writeUInt16LE(AF.packet, 0);
	bytes.writeUInt16BE(protocol, 2);
	bytes.writeInt32LE(ifindex, 4);
	return bytes;
}

/** The name of the error, null where the kernel took it. */
export function sendFrame(fd: number, frame: Uint8Array, to: Buffer): string | null {
	if (calls.sendto(fd, frame, frame.length, 0, to, to.length) >= 0) return null;
	return getSystemErrorName(-koffi.errno());
}

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const IFF_UP = 1;

/** As `ip link set dev … up` does, in one system call of this process. */
export function bringUp(device: string): void {
	const fd = openUdp6();
	try {
		// struct ifreq { char name[16]; short flags; … }
		const request = Buffer.alloc(40);
		request.write(device);
		check(calls.ioctl(fd, SIOCGIFFLAGS, request), `flags of ${device}`);
		request.writeInt16LE(request.readInt16LE(16) | IFF_UP, 16);
		check(calls.ioctl(fd, SIOCSIFFLAGS, request), `${device} up`);
	} finally {
		closeSync(fd);
	}
}

export function addIpv6Address(ifindex: number, address: string): void {
	const fd = openUdp6();
	try {
		// struct in6_ifreq { struct in6_addr; __u32 prefix; int ifindex; }
		const request = Buffer.alloc(24);
		addressBytes(address).copy(request);
		request.writeUInt32LE(128, 16);
		request.writeInt32LE(ifindex, 20);
		check(calls.ioctl(fd, SIOCSIFADDR, request), `the address ${address}`);
	} finally {
		closeSync(fd);
	}
}
