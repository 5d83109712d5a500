/** Addresses as the BPF maps hold them, and those of this host. */
import { closeSync, existsSync, readFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import koffi from 'koffi';
import { DatapathError } from './errors.ts';
import { checkCall, native } from './libbpf/native.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const IFNAMSIZ = 16;
const IFF_UP = 1;

/** 16 bytes; IPv4 is `::ffff:a.b.c.d`, so that one map holds both. */
export function addressBytes(address: string): Buffer {
	const bytes = Buffer.alloc(16);
	if (!isIPv4(address) && !isIPv6(address)) {
		throw new DatapathError(`${address} is no address`, {
			hint: 'give it without a prefix length, e.g. 2001:db8:0:2::10',
		});
	}
	native.inet_pton(AF_INET6, isIPv4(address) ? `::ffff:${address}` : address, bytes);
	return bytes;
}

/** struct ifreq of a 64-bit kernel */
const IFREQ_SIZE = 40;
const SIOCGIFCONF = 0x8912;
const SOCK_DGRAM = 2;

/**
 * The addresses by which others reach this thread's netns, those on `lo` too: no loopback, and no link-local one, which every link has
 * again. There may be hundreds of links, each with a line to read here: neither an object of Node's each, nor a message of iproute2's.
 */
export function ownAddresses(): string[] {
	const lines = readFileSync('/proc/thread-self/net/if_inet6', 'latin1');
	// address, index, prefix length, scope (0: global), flags, name
	const six = lines.matchAll(/^([0-9a-f]{32}) \w+ \w+ 00 /gm);
	return [...Array.from(six, ([, hex]) => hex!.match(/..../g)!.join(':')), ...ownIpv4Addresses()];
}

/** Those of IPv6 that a device of this thread's netns has, and that others may have on other links. */
export function linkLocalAddresses(device: string): string[] {
	const lines = readFileSync('/proc/thread-self/net/if_inet6', 'latin1');
	const own = lines.matchAll(/^([0-9a-f]{32}) \w+ \w+ 20 \w+ +(\S+)$/gm);
	return Array.from(own).flatMap(([, hex, name]) => (name === device ? [hex!.match(/..../g)!.join(':')] : []));
}

/** One for each device and label; of devices without any, nothing is read. */
function ownIpv4Addresses(): string[] {
	const socket = checkCall(native.socket(AF_INET, SOCK_DGRAM, 0), 'a socket');
	try {
		for (let room = 64; ; room *= 2) {
			// struct ifconf { int length; struct ifreq *requests; }
			const found = Buffer.alloc(room * IFREQ_SIZE);
			const request = Buffer.alloc(16);
			request.writeInt32LE(found.length);
			request.writeBigUInt64LE(koffi.address(found), 8);
			checkCall(native.ioctl(socket, SIOCGIFCONF, request), 'the addresses of this host');
			const length = request.readInt32LE(0);
			if (length === found.length) continue;
			return Array.from({ length: length / IFREQ_SIZE }, (_, index) => found.subarray(index * IFREQ_SIZE))
				.map((one) => [...one.subarray(20, 24)].join('.'))
				.filter((address) => !address.startsWith('127.'));
		}
	} finally {
		closeSync(socket);
	}
}

/** Its index in this thread's netns; null where there is no such device. */
export function findDevice(name: string): number | null {
	return native.if_nametoindex(name) || null;
}

/** Whether it was set up, in this thread's netns; false where there is no such device. */
export function isUp(name: string): boolean {
	const flags = `/sys/class/net/${name}/flags`;
	return existsSync(flags) && (Number(readFileSync(flags, 'utf8')) & IFF_UP) !== 0;
}

/** Null where there is none of that index in this thread's netns. */
export function deviceName(index: number): string | null {
	const name = Buffer.alloc(IFNAMSIZ);
	return native.if_indextoname(index, name) ? name.toString('latin1', 0, name.indexOf(0)) : null;
}

/** Throws a DatapathError where there is no such device. */
export function deviceIndex(name: string): number {
	const index = findDevice(name);
	if (index) return index;
	throw new DatapathError(`there is no device ${name}`, { hint: 'ip link' });
}
