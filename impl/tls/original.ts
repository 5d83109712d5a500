/** Where an accepted connection was meant to go: what netfilter answers of what it has redirected, and bpf/tls_connect.bpf.c here. */
import { isIPv4, type Socket } from 'node:net';
import { lastErrno, native } from '../libbpf/native.ts';
import { addressOf, type Endpoint, plainAddress } from './endpoints.ts';
import { behindAlias } from './flows.ts';
import { Refusal } from './refusals.ts';

/** linux/netfilter_ipv4.h: SO_ORIGINAL_DST answers a struct sockaddr_in. netfilter_ipv6/ip6_tables.h: IP6T_SO_ORIGINAL_DST a struct sockaddr_in6 */
const ASK = {
	4: { level: 0, option: 80, size: 16, address: [4, 8] },
	6: { level: 41, option: 80, size: 28, address: [8, 24] },
} as const;

/** Throws a Refusal where nobody turned it here: it came by itself. */
export function originalDestination(socket: Socket): Endpoint {
	const { remoteAddress = '', remotePort } = socket;
	const { level, option, size, address } = ASK[isIPv4(plainAddress(remoteAddress) ?? '') ? 4 : 6];
	const value = Buffer.alloc(size);
	const status: number = native.getsockopt(descriptorOf(socket), level, option, value, [size]);
	if (status < 0)
		throw new Refusal(
			'destination_ip_prohibited',
			`${remoteAddress} port ${remotePort} came by itself, and was not turned here: ${lastErrno()}`,
		);
	const [start, end] = address;
	const bytes = value.subarray(start, end);
	return {
		address: bytes.length === 4 ? bytes.join('.') : addressOf(bytes),
		port: value.readUInt16BE(2),
	};
}

/** The same of a datagram, by where it comes from: that is an alias, which answers go to. */
export function datagramDestination({ address, port }: Endpoint): Endpoint {
	const original = behindAlias(address);
	if (original) return original;
	throw new Refusal('destination_ip_prohibited', `${address} port ${port} came by itself, and was not turned here`);
}

/** Node tells nobody the descriptor of a socket but by its handle. */
function descriptorOf(socket: Socket): number {
	const { _handle: handle } = socket as Socket & { _handle?: { fd: number } | null };
	if (handle) return handle.fd;
	throw new Refusal('connection_terminated', 'the program has gone meanwhile');
}
