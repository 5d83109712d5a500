/** A container as its operator describes it: what `net add` is told, what the host remembers, and what is refused at once. */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { HOLDERS } from './devices/holder.ts';
import { DatapathError } from './errors.ts';
import { type IdentitySpec, identitySpec } from './identity/spec.ts';
import { isNobodys } from './unicast.ts';

export const DEVICES = ['none', 'veth', 'netkit-l2', 'netkit-l3', 'ipvlan-l2', 'ipvlan-l3', 'ipvlan-l3s'] as const;
export type Device = (typeof DEVICES)[number];

export const FORWARDS = ['stack', 'redirect', 'fib', 'redirect-egress', 'native'] as const;
export type Forward = (typeof FORWARDS)[number];

/** What joins this host to the world. */
export interface Uplink {
	/** of the host, e.g. `eth0`, or a VLAN of it */
	device: string;
	/** the router or peer beyond it; without, the kernel's FIB is asked for every packet */
	ipv6NextHop?: string;
	ipv4NextHop?: string;
}

export interface ContainerSpec {
	/** of the netns, and of the host end of its device: at most 15 characters */
	name: string;
	device: Device;
	forward: Forward;
	/** in order of preference: the first that is up is used by `fib` and `stack`; the others take the first alone */
	uplinks: Uplink[];
	/** without a prefix length; one of the two at least, but for device `none` */
	ipv6: string | null;
	ipv4: string | null;
	/** containers of one tenant reach each other; at most 15 characters */
	tenant: string;
	/** tenants that this one's containers may talk with, both ways */
	allow: string[];
	/** false: its packets are not judged. For controls, and for kernels that cannot guard its device */
	guard: boolean;
	/** of `ip netns`: there already, and left when the container goes. null: made with it, bearing its name */
	netns: string | null;
	/** of device `none`: it has its addresses by its cgroup, in the host's netns. Without, it uses the host's */
	identity?: IdentitySpec;
}

export type ContainerRequest = Partial<Omit<ContainerSpec, 'identity'>> &
	Pick<ContainerSpec, 'name' | 'device' | 'forward'> & { identity?: Partial<IdentitySpec> };

/** As many uplinks as bpf/include/policy.h has room for. */
export const MAX_UPLINKS = 4;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,14}$/;

/** Which ways there are on which device; `native` where the kernel leaves nothing to choose. */
export const FORWARDS_OF: Record<Device, readonly Forward[]> = {
	none: ['native'],
	veth: ['stack', 'redirect', 'fib', 'redirect-egress'],
	'netkit-l2': ['stack', 'redirect', 'fib', 'redirect-egress'],
	'netkit-l3': ['stack', 'redirect', 'fib', 'redirect-egress'],
	'ipvlan-l2': ['native'],
	'ipvlan-l3': ['native'],
	'ipvlan-l3s': ['native'],
};

/** Every word spelt out. Throws a DatapathError for what can be known to be wrong without looking at the host. */
export function containerSpec(request: ContainerRequest): ContainerSpec {
	const spec: ContainerSpec = {
		uplinks: [],
		ipv6: null,
		ipv4: null,
		tenant: request.name,
		allow: [],
		guard: request.device !== 'none',
		netns: null,
		...request,
		...(request.identity && { identity: identitySpec(request.identity) }),
	} as ContainerSpec;
	const { name, device, forward, uplinks, ipv6, ipv4, tenant, allow } = spec;
	oneOf('device', DEVICES, device);
	oneOf('way of forwarding', FORWARDS, forward);
	for (const [what, word] of [
		['container', name] as const,
		...[tenant, ...allow].map((one) => ['tenant', one] as const),
	])
		if (!NAME.test(word))
			refuse(`"${word}" cannot be the name of a ${what}`, '1 to 15 letters, digits, - and _, e.g. web');
	if (!FORWARDS_OF[device].includes(forward))
		refuse(`${device} has no forward ${forward}`, `use ${FORWARDS_OF[device].join(', ')}`);
	if (ipv6 !== null && !isAddress(6, ipv6))
		refuse(`${ipv6} is no IPv6 address`, 'without a prefix length, e.g. 2001:db8::10');
	if (ipv4 !== null && !isAddress(4, ipv4))
		refuse(`${ipv4} is no IPv4 address`, 'without a prefix length, e.g. 198.51.100.10');
	for (const address of [ipv6, ipv4])
		if (address !== null && isNobodys(address))
			refuse(`${address} is no address that one can be reached by`, 'a unicast address that is routed to this host');
	if (spec.identity && device !== 'none')
		refuse(`${name} cannot have a ${device} and the host's netns`, 'leave the device out, or --mode identity');
	if (spec.identity && (uplinks.length || spec.netns !== null))
		refuse(`${name} shares the netns of the host, and its routes`, 'leave uplinks and netns out, or --mode identity');
	if (spec.netns === HOLDERS)
		refuse(`the netns ${HOLDERS} keeps this host's addresses from ipvlan containers`, 'another netns, or leave it out');
	if (device === 'none' && !spec.identity) return spec;
	if (ipv6 === null && ipv4 === null) refuse(`${name} has no address`, 'give it an IPv6 or an IPv4 address, or both');
	if (spec.identity) return { ...spec, ipv6: ipv6 && canonical(ipv6) };
	if (!uplinks.length)
		refuse(`${name} has no uplink`, 'name the device of the host that its packets leave by, e.g. eth0');
	if (uplinks.length > MAX_UPLINKS) refuse(`${uplinks.length} uplinks are too many`, `name ${MAX_UPLINKS} at most`);
	if (uplinks.length > 1 && forward !== 'fib' && forward !== 'stack')
		refuse(`forward ${forward} leaves by one uplink`, 'name one, or use fib, which takes the next when one is down');
	for (const { ipv6NextHop, ipv4NextHop } of uplinks) {
		if (ipv6NextHop !== undefined && !isAddress(6, ipv6NextHop))
			refuse(`${ipv6NextHop} is no IPv6 address of a next hop`, 'e.g. 2001:db8:0:1::2');
		if (ipv4NextHop !== undefined && !isAddress(4, ipv4NextHop))
			refuse(`${ipv4NextHop} is no IPv4 address of a next hop`, 'e.g. 192.0.2.2');
	}
	return {
		...spec,
		ipv6: ipv6 && canonical(ipv6),
		uplinks: uplinks.map((uplink) =>
			uplink.ipv6NextHop === undefined ? uplink : { ...uplink, ipv6NextHop: canonical(uplink.ipv6NextHop) },
		),
	};
}

/** Without a zone: a link-local address is told with its device, and that is the uplink. */
function isAddress(family: 4 | 6, text: string): boolean {
	return family === 4 ? isIPv4(text) : isIPv6(text) && !text.includes('%');
}

/** As the kernel prints it: what is asked for is compared with what is there. An IPv4 address is that already. */
export function canonical(address: string): string {
	return isIPv4(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address;
}

function oneOf(what: string, words: readonly string[], word: string): void {
	if (!words.includes(word)) refuse(`"${word}" is no ${what}`, `use one of ${words.join(', ')}`);
}

function refuse(message: string, hint: string): never {
	throw new DatapathError(message, { hint, usage: true });
}

/** The name of its netns, as `ip netns` knows it. */
export function netnsOf({ name, netns }: Pick<ContainerSpec, 'name' | 'netns'>): string {
	return netns ?? name;
}
