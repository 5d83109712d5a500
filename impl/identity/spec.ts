/** What an identity container is asked to be, beside its name and addresses: its cgroup, and what its programs may bind. */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { DatapathError } from '../errors.ts';
import { isNobodys } from '../unicast.ts';

/** Both included; one port is a range too. */
export interface PortRange {
	first: number;
	last: number;
}

/** A port of an address that containers share, such as one that is announced to the world from several hosts. */
export interface Share {
	/** on the host already: it is not the container's to add or remove */
	address: string;
	port: number;
	protocol: 'tcp' | 'udp';
}

/** What is asked of an address and port that no device has is done here, by every container that says so. */
export interface Serve extends Share {
	/** its own port */
	to: number;
	/** whether all sockets of a client's container get the same one; else each socket may get another */
	sticky: boolean;
}

export interface IdentitySpec {
	/** the directory of a cgroup (v2): there already, and left when the container goes. null: made with it, bearing its name */
	cgroup: string | null;
	/** ports that may be bound; none: all. At most 8 */
	ports: PortRange[];
	/** ports that may not, whatever `ports` says. At most 8 */
	reserved: PortRange[];
	/** ports of addresses other than its own */
	shares: Share[];
	/** services that it is behind: they are there for the containers of this host alone */
	serves: Serve[];
	/** whether nobody new is sent to it by them; who is connected stays */
	drained: boolean;
	/** whether ports below 1024 may be bound without the capability (5.12) */
	lowPorts: boolean;
	/** whether raw sockets may be made, and those of ICMP, whose sources nobody governs; they still need their capability or group */
	raw: boolean;
	/** whether what is bound to a loopback address is out of reach but for the host's own processes: a program sees each packet it gets */
	privateLocalhost: boolean;
	/** whether bytes of UDP are counted, which the kernel does not: a program sees each packet that the container sends or gets */
	countUdp: boolean;
}

/** As many as bpf/include/identity.h has room for. */
export const MAX_RANGES = 8;

/** Every word spelt out. Throws a DatapathError (`usage`) for what cannot be. */
export function identitySpec(request: Partial<IdentitySpec>): IdentitySpec {
	const spec: IdentitySpec = {
		cgroup: null,
		ports: [],
		reserved: [],
		shares: [],
		serves: [],
		drained: false,
		lowPorts: false,
		raw: false,
		privateLocalhost: false,
		countUdp: false,
		...request,
	};
	if (spec.cgroup !== null && !spec.cgroup.startsWith('/'))
		refuse(`${spec.cgroup} is no cgroup`, 'its whole path, e.g. /sys/fs/cgroup/web.slice');
	for (const ranges of [spec.ports, spec.reserved]) {
		if (ranges.length > MAX_RANGES)
			refuse(`${ranges.length} ranges of ports are too many`, `name ${MAX_RANGES} at most`);
		for (const { first, last } of ranges)
			if (!isPort(first) || !isPort(last) || first > last)
				refuse(`${first}-${last} is no range of ports`, '1 to 65535, e.g. 8000-8999');
	}
	for (const [ends, done] of [[spec.shares, 'shared'] as const, [spec.serves, 'served'] as const])
		for (const { address, port } of ends) {
			if (!isPort(port) || address.includes('%') || !(isIPv6(address) || isIPv4(address)))
				refuse(`${address} port ${port} cannot be ${done}`, 'an address and a port, e.g. 2001:db8::80,443');
			// where clouds have their metadata, which a service may stand for
			const ofLink = done === 'served' && address.startsWith('169.254.');
			if (isNobodys(address) && !ofLink)
				refuse(`${address} cannot be ${done}: nobody has it alone`, 'a unicast address, of IPv4 as 198.51.100.80');
		}
	for (const { to } of spec.serves) if (!isPort(to)) refuse(`${to} is no port to serve by`, '1 to 65535');
	// as containers compare theirs
	const canonical = <T extends Share>(one: T): T => ({
		...one,
		address: new SocketAddress({ address: one.address, family: isIPv6(one.address) ? 'ipv6' : 'ipv4' }).address,
	});
	return { ...spec, shares: spec.shares.map(canonical), serves: spec.serves.map(canonical) };
}

function isPort(port: number): boolean {
	return Number.isInteger(port) && port > 0 && port < 65536;
}

function refuse(message: string, hint: string): never {
	throw new DatapathError(message, { hint, usage: true });
}
