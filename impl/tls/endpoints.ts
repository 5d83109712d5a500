/** Where a flow goes: an address and a port, as HTTP names them, and whether it may go there. */
import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net';
import { DatapathError } from '../errors.ts';

export interface Endpoint {
	/** an address as the kernel has it, no name; IPv4-mapped ones are IPv4 */
	address: string;
	port: number;
}

const refuse = (what: string, hint: string) => new DatapathError(what, { usage: true, hint });

/** `[2001:db8::1]:53` or `198.51.100.1:53`. */
export function formatEndpoint({ address, port }: Endpoint): string {
	return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The same read; throws a DatapathError for names, zones and port 0. */
export function parseEndpoint(text: string): Endpoint {
	const [, six, four, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
	return endpoint(six ?? four, Number(port), text);
}

/** RFC 9298, 3: the default template. The colons of an address are escaped in it. */
export function udpPath({ address, port }: Endpoint): string {
	return `/.well-known/masque/udp/${encodeURIComponent(address)}/${port}/`;
}

/** Throws a DatapathError where it is not of that template. */
export function parseUdpPath(path: string): Endpoint {
	const [, host, port] = /^\/\.well-known\/masque\/udp\/([^/]+)\/(\d{1,5})\/$/.exec(path) ?? [];
	let address: string | undefined;
	try {
		address = host && decodeURIComponent(host);
	} catch {
		address = undefined; // an escape that is none: no address either
	}
	return endpoint(address, Number(port), path);
}

function endpoint(host: string | undefined, port: number, text: string): Endpoint {
	const address = host && plainAddress(host);
	if (!address || !(port > 0 && port < 65_536))
		throw refuse(`${text} is no destination`, 'an address and a port, e.g. [2001:db8:f::1]:443; no names, no zones');
	return { address, port };
}

/** One spelling for each address, so that no rule is gone round by another; null where it is none. */
export function plainAddress(text: string): string | null {
	const family = isIP(text);
	if (!family || text.includes('%')) return null;
	const { address } = new SocketAddress({ address: text, family: family === 6 ? 'ipv6' : 'ipv4' });
	return address.replace(/^::ffff:(\d+\.\d+\.\d+\.\d+)$/, '$1');
}

/** The same of 16 bytes, as the BPF maps hold an address of either family. */
export function addressOf(bytes: Buffer): string {
	return plainAddress(bytes.toString('hex', 0, 16).match(/..../g)!.join(':'))!;
}

/** What a container may reach; nothing but what is listed. */
export class Allowed {
	readonly #list = new BlockList();

	/** Prefixes, `2001:db8:f::/48`; throws a DatapathError for what is none. */
	constructor(prefixes: readonly string[]) {
		for (const prefix of prefixes) {
			const [, host, bits] = /^([^/]+)\/(\d{1,3})$/.exec(prefix) ?? [];
			const address = host && plainAddress(host);
			const family = address && isIPv6(address) ? 'ipv6' : 'ipv4';
			if (!address || Number(bits) > (family === 'ipv6' ? 128 : 32))
				throw refuse(`${prefix} is no prefix`, 'e.g. 2001:db8:f::/48 or 198.51.100.0/24');
			this.#list.addSubnet(address, Number(bits), family);
		}
	}

	permits({ address }: Endpoint): boolean {
		return this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
	}
}
