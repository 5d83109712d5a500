/** A container as it is typed: the options of `pathproof net add`, and what they ask for. Its counterpart is state/words.ts. */
import { isIPv4, isIPv6 } from 'node:net';
import type { ContainerRequest, Uplink } from './container.ts';
import { DatapathError } from './errors.ts';
import type { PortRange, Serve, Share } from './identity/spec.ts';

export interface RequestOptions {
	mode: string;
	device?: string;
	forward?: string;
	uplink?: string[];
	ipv6?: string;
	ipv4?: string;
	tenant?: string;
	allow?: string[];
	guard: boolean;
	netns?: string;
	ip?: string[];
	cgroup?: string;
	ports?: PortRange[];
	reserved?: PortRange[];
	share?: Share[];
	serve?: Serve[];
	drained?: boolean;
	privateLocalhost?: boolean;
	countUdp?: boolean;
	lowPorts?: boolean;
	raw?: boolean;
}

/** The mode that is used most. */
const DEVICE_ALIASES: Record<string, string> = { netkit: 'netkit-l3', ipvlan: 'ipvlan-l2' };
/** Throws a DatapathError (`usage`) for what does not belong together. */
export function parseRequest(name: string, options: RequestOptions): ContainerRequest {
	const {
		mode,
		uplink = [],
		ip = [],
		cgroup,
		ports,
		reserved,
		share,
		serve,
		drained,
		lowPorts,
		raw,
		privateLocalhost,
		countUdp,
		...words
	} = options;
	const wrong = ip.find((address) => !isIPv6(address) && !isIPv4(address));
	if (wrong !== undefined) throw usage(`${wrong} is no address`, '--ip 2001:db8:0:2::10');
	const addresses = { ipv6: ip.find(isIPv6), ipv4: ip.find(isIPv4) };
	const common = {
		...words,
		name,
		...(addresses.ipv6 && { ipv6: addresses.ipv6 }),
		...(addresses.ipv4 && { ipv4: addresses.ipv4 }),
	};
	const identity = {
		...{ cgroup, ports, reserved, shares: share, serves: serve, drained },
		...{ lowPorts, raw, privateLocalhost, countUdp },
	};
	const told = Object.entries(identity).filter(([, value]) => value !== undefined);
	if (mode === 'identity')
		return {
			device: 'none',
			forward: 'native',
			...common,
			guard: false,
			uplinks: uplink.map(parseUplink),
			identity: Object.fromEntries(told),
		} as ContainerRequest;
	if (mode !== 'netns') throw usage(`"${mode}" is no mode`, 'use one of netns, identity');
	if (told.length) throw usage(`${name} has no identity, whose ${told[0]![0]} is told`, '--mode identity');
	const { device, forward } = words;
	if (!device || !forward)
		throw usage(`${name} has no ${device ? 'way for its packets' : 'device'}`, '--device veth --forward redirect');
	return {
		...common,
		device: DEVICE_ALIASES[device] ?? device,
		uplinks: uplink.map(parseUplink),
		...(device === 'none' && { guard: false }),
	} as ContainerRequest;
}

/** `80,8000-8999` */
export function parseRanges(text: string): PortRange[] {
	return text.split(',').map((word) => {
		const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(word) ?? [];
		if (first === undefined) throw usage(`"${word}" is no range of ports`, '--ports 80,8000-8999');
		return { first: Number(first), last: Number(last) };
	});
}

/** `2001:db8::80,443/tcp` */
export function parseShare(text: string): Share {
	const [, address, port, protocol] = /^(.+),(\d+)\/(tcp|udp)$/.exec(text) ?? [];
	if (address === undefined) throw usage(`"${text}" is no port to share`, '--share 2001:db8::80,443/tcp');
	return { address, port: Number(port), protocol: protocol as Share['protocol'] };
}

/** `2001:db8::80,443/tcp,8443,sticky` */
export function parseServe(text: string): Serve {
	const [, share, to, sticky] = /^(.+\/(?:tcp|udp)),(\d+)(,sticky)?$/.exec(text) ?? [];
	if (share === undefined) throw usage(`"${text}" is no service`, '--serve 2001:db8::80,443/tcp,8443');
	return { ...parseShare(share), to: Number(to), sticky: sticky !== undefined };
}

/** `eth0`, `eth0,2001:db8:0:1::2,192.0.2.2`: next hops in either order. */
export function parseUplink(text: string): Uplink {
	const [device, ...hops] = text.split(',');
	const wrong = hops.find((hop) => hop && !isIPv6(hop) && !isIPv4(hop));
	const six = hops.filter(isIPv6);
	const four = hops.filter(isIPv4);
	if (!device || wrong || six.length > 1 || four.length > 1) {
		throw usage(
			wrong ? `${wrong} is no address of a next hop` : `"${text}" is no uplink`,
			'--uplink eth0,2001:db8:0:1::2,192.0.2.2',
		);
	}
	return { device, ...(six[0] && { ipv6NextHop: six[0] }), ...(four[0] && { ipv4NextHop: four[0] }) };
}

export function usage(message: string, hint: string): DatapathError {
	return new DatapathError(message, { usage: true, hint });
}
