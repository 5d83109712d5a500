/** Addresses as the BPF maps hold them, and those of this host. */
import { isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { DatapathError } from './errors.ts';
import { native } from './libbpf/native.ts';

const AF_INET6 = 10;
const IFNAMSIZ = 16;

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

/** The addresses by which others reach this netns: no loopback, and no link-local one, which every link has again. */
export function ownAddresses(): string[] {
	return Object.values(networkInterfaces()).flatMap((of) =>
		(of ?? []).filter(({ internal, scopeid }) => !internal && !scopeid).map(({ address }) => address),
	);
}

/** Its index in this thread's netns; null where there is no such device. */
export function findDevice(name: string): number | null {
	return native.if_nametoindex(name) || null;
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
