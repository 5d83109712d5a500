/** What of a container's goes over TLS: the rows of the maps `tls_policies` and `tls_ns_policies`, in the layout of bpf/include/tls_policy.h. They are all the state there is. */
import { isIPv4 } from 'node:net';
import { addressBytes } from '../addresses.ts';
import { DatapathError } from '../errors.ts';
import { isLoaded, withMap } from '../forward/datapath.ts';
import { u32 } from '../libbpf/map.ts';
import { addressOf, plainAddress } from './endpoints.ts';

export const FAILS = ['closed', 'open'] as const;
export const PROTOCOLS = ['tcp', 'udp'] as const;

/** What a policy is about; of two that a flow meets, one of its port counts before one of every port, and then the longer prefix. */
export interface TlsMatch {
	protocol: (typeof PROTOCOLS)[number];
	/** a prefix, `2001:db8:f::/48` or `203.0.113.0/24` */
	to: string;
	/** null: every port */
	port: number | null;
}

export interface TlsPolicy extends TlsMatch {
	/** the port that the forward proxy listens at: of the loopback addresses, or in a netns of the container's own */
	proxy: number;
	/** where nobody listens there: refused, or in clear */
	fail: (typeof FAILS)[number];
}

const PROTOCOL = { tcp: 6, udp: 17 } as const;
const FAIL_OPEN = 1;
/** Bits of struct tls_match in front of the address */
const BEFORE_ADDRESS = 96;
const MAPPED = 96;

/** Throws a DatapathError (`usage`) for what is no prefix, port or word. Bits behind a prefix are left out of it. */
export function tlsMatch({ protocol, to, port }: TlsMatch): TlsMatch {
	if (!PROTOCOLS.includes(protocol)) refuse(`"${protocol}" is no protocol`, `use ${PROTOCOLS.join(', ')}`);
	if (port !== null && !isPort(port)) refuse(`${port} is no port`, '1 to 65535, or none at all');
	const [, host = '', bits] = /^([^/]+)\/(\d{1,3})$/.exec(to) ?? [];
	const address = plainAddress(host);
	const whole = address !== null && isIPv4(address) ? 32 : 128;
	if (address === null || Number(bits) > whole) return refuse(`${to} is no prefix`, '--to 2001:db8:f::/48');
	const bytes = addressBytes(address);
	const length = Number(bits) + (whole === 32 ? MAPPED : 0);
	for (let bit = length; bit < 128; bit++) bytes[bit >> 3]! &= ~(128 >> (bit & 7));
	return { protocol, to: `${addressOf(bytes)}/${bits}`, port };
}

/** The same of a whole one. */
export function tlsPolicy({ proxy, fail, ...match }: TlsPolicy): TlsPolicy {
	if (!isPort(proxy)) refuse(`${proxy} is no port of a proxy`, '--proxy 15001');
	if (!FAILS.includes(fail)) refuse(`"${fail}" is no way to fail`, `use ${FAILS.join(', ')}`);
	return { ...tlsMatch(match), proxy, fail };
}

/** With the container: its cgroup's id, or the inode of its netns. */
export type OwnedPolicy = TlsPolicy & { owner: bigint };

/** The objects that look at policies, and the maps that they have them in: of cgroups, and of netns. */
const POLICY_MAPS = { tls_connect: 'tls_policies', tls_netns: 'tls_ns_policies' } as const;
export type PolicyObject = keyof typeof POLICY_MAPS;

export function policyMap(object: PolicyObject): (typeof POLICY_MAPS)[PolicyObject] {
	return POLICY_MAPS[object];
}

/** struct tls_match */
export function matchBytes(owner: bigint, { protocol, to, port }: TlsMatch): Buffer {
	const [address, bits] = to.split('/') as [string, string];
	const key = Buffer.alloc(32);
	key.writeUInt32LE(BEFORE_ADDRESS + Number(bits) + (isIPv4(address) ? MAPPED : 0));
	key.writeUInt16BE(port ?? 0, 4);
	key.writeUInt8(PROTOCOL[protocol], 6);
	key.writeUInt8(isIPv4(address) ? 4 : 6, 7);
	key.writeBigUInt64LE(owner, 8);
	addressBytes(address).copy(key, 16);
	return key;
}

/** struct tls_policy */
export function policyBytes({ proxy, fail }: TlsPolicy): Buffer {
	const network = Buffer.alloc(4);
	network.writeUInt16BE(proxy);
	return Buffer.concat([network, u32(fail === 'open' ? FAIL_OPEN : 0)]);
}

/** Of one row: whose it is, and what it says. */
export function readPolicy(key: Buffer, value: Buffer): OwnedPolicy {
	const address = addressOf(key.subarray(16));
	const bits = key.readUInt32LE(0) - BEFORE_ADDRESS - (isIPv4(address) ? MAPPED : 0);
	return {
		owner: ownerOfMatch(key),
		protocol: PROTOCOLS.find((name) => PROTOCOL[name] === key.readUInt8(6))!,
		to: `${address}/${bits}`,
		port: key.readUInt16BE(4) || null,
		proxy: value.readUInt16BE(0),
		fail: value.readUInt32LE(4) & FAIL_OPEN ? 'open' : 'closed',
	};
}

export const ownerOfMatch = (key: Buffer): bigint => key.readBigUInt64LE(8);

/** Of all containers, or of those of one object, in the order in which they are looked at. */
export function readPolicies(only?: PolicyObject): OwnedPolicy[] {
	const objects: PolicyObject[] = only ? [only] : ['tls_connect', 'tls_netns'];
	const rows = objects
		.filter((object) => isLoaded(object))
		.flatMap((object) =>
			withMap(policyMap(object), (map) =>
				map.keys().flatMap((key) => {
					const value = map.lookup(key);
					return value ? [{ key, policy: readPolicy(key, value) }] : [];
				}),
			),
		);
	return rows
		.toSorted((a, b) => order(a.key) - order(b.key) || Buffer.compare(a.key, b.key))
		.map(({ policy }) => policy);
}

/** Those of a port first, then the longer prefix. */
const order = (key: Buffer): number => (key.readUInt16BE(4) ? 0 : 1000) - key.readUInt32LE(0);

function isPort(port: number): boolean {
	return Number.isInteger(port) && port > 0 && port < 65_536;
}

function refuse(message: string, hint: string): never {
	throw new DatapathError(message, { hint, usage: true });
}
