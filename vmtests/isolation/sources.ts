/** From an address that is not the container's own. */
import { buildPacket, echoRequest, icmp, tcp, udp } from '../support/frames.ts';
import { type Arena, type Attack, controls, PORT } from './arena.ts';

type Family = 4 | 6;

/** Of the stack that forwards, where there is one; ipvlan in layer 2 asks none, in layer 3 only IPv4 does. */
const NO_STACK = 'the stack takes no packet from such an address off a device';
const REFUSED = controls({ pair: NO_STACK, l2: 'peer', l3: 'peer' });
const REFUSED_BY_IPV4 = controls({
	pair: NO_STACK,
	l2: 'peer',
	l3: 'the routes of the host have none from such an address',
});

/** One datagram to the peer. */
function datagram(arena: Arena, source: string, nonce: string) {
	const destination = source.includes(':') ? arena.lab.peer.ipv6 : arena.lab.peer.ipv4;
	return arena.frame({ source, destination, transport: udp(PORT, PORT, nonce) });
}

function from(title: string, source: (arena: Arena) => string, more: Partial<Attack> = {}): Attack {
	return {
		title,
		shots: (arena, nonce) => [datagram(arena, source(arena), nonce(0))],
		verdict: 'SPOOFED_SOURCE',
		control: 'peer',
		...more,
	};
}

/** From the container that is api, an address that every stack takes. */
function as(
	title: string,
	family: Family,
	transport: (nonce: string) => ReturnType<typeof udp>,
	more: Partial<Attack> = {},
): Attack {
	return {
		title,
		shots: (arena, nonce) => {
			const { api, peer } = arena.lab;
			return [
				arena.frame({
					source: api.address(family),
					destination: peer.address(family),
					transport: transport(nonce(0)),
				}),
			];
		},
		verdict: 'SPOOFED_SOURCE',
		control: 'peer',
		...more,
	};
}

const long = (nonce: string) => udp(PORT, PORT, nonce.padEnd(64, '.') + nonce);

function fragments(family: Family): Attack[] {
	return ([false, true] as const).map((later) => ({
		title: `a container cannot send the ${later ? 'last' : 'first'} fragment of an IPv${family} datagram from another's address`,
		shots: (arena, nonce) => {
			const { api, peer } = arena.lab;
			const fragment = later ? { id: 77, offset: 64, more: false } : { id: 78, offset: 0, length: 64, more: true };
			const packet = {
				source: api.address(family),
				destination: peer.address(family),
				transport: long(nonce(0)),
				fragment,
			};
			return [arena.frame(packet)];
		},
		verdict: 'SPOOFED_SOURCE',
		control: 'peer',
	}));
}

/** struct virtio_net_hdr: the frame is a TCP segment of many, and the kernel is to cut it and to sum each. */
function asSegments(family: Family): (frame: Buffer) => Buffer {
	const header = Buffer.alloc(10);
	const tcpAt = 14 + (family === 6 ? 40 : 20);
	// VIRTIO_NET_HDR_F_NEEDS_CSUM; VIRTIO_NET_HDR_GSO_TCPV6 or _TCPV4
	header.set([1, family === 6 ? 4 : 1]);
	for (const [index, value] of [tcpAt + 20, 64, tcpAt, 16].entries()) header.writeUInt16LE(value, 2 + 2 * index);
	return (frame) => Buffer.concat([header, frame]);
}

export const SOURCES: readonly Attack[] = [
	from("a container cannot send from its host's IPv6 address", ({ lab }) => lab.host.ipv6),
	from("a container cannot send from its host's IPv4 address", ({ lab }) => lab.host.ipv4, {
		control: REFUSED,
	}),
	from("a container cannot send from the peer's IPv6 address", ({ lab }) => lab.peer.ipv6),
	from("a container cannot send from the peer's IPv4 address", ({ lab }) => lab.peer.ipv4),
	from("a container cannot send from another container's IPv6 address", ({ lab }) => lab.api.ipv6),
	from("a container cannot send from another container's IPv4 address", ({ lab }) => lab.api.ipv4),
	from('a container cannot send from an IPv6 address that is nobody’s', () => '2001:db8:bad::1'),
	from('a container cannot send from an IPv4 address that is nobody’s', () => '203.0.113.99'),
	from('a container cannot send from the unspecified IPv6 address', () => '::', { control: REFUSED }),
	from('a container cannot send from the unspecified IPv4 address', () => '0.0.0.0', { control: REFUSED }),
	from('a container cannot send from ::1', () => '::1', { control: REFUSED }),
	from('a container cannot send from 127.0.0.1', () => '127.0.0.1', { control: REFUSED_BY_IPV4 }),
	from('a container cannot send from an IPv6 multicast address', () => 'ff0e::1', { control: REFUSED }),
	from('a container cannot send from an IPv4 multicast address', () => '239.1.2.3', { control: REFUSED_BY_IPV4 }),
	from('a container cannot send from the broadcast address', () => '255.255.255.255', { control: REFUSED_BY_IPV4 }),
	from(
		"a container cannot send from its host's IPv4 address, mapped into IPv6",
		({ lab }) => `::ffff:${lab.host.ipv4}`,
	),
	from('a container cannot send from its own IPv4 address, mapped into IPv6', ({ lab }) => `::ffff:${lab.web.ipv4}`),
	from('a container cannot send from a link-local IPv6 address', () => 'fe80::bad', { control: REFUSED }),
	from("a container cannot send from its gateway's address", () => 'fe80::1', { control: REFUSED }),
	as("a container cannot open an IPv6 connection from another's address", 6, (nonce) => tcp(1024, PORT, nonce)),
	as("a container cannot open an IPv4 connection from another's address", 4, (nonce) => tcp(1024, PORT, nonce)),
	as("a container cannot reset another's connection", 6, (nonce) => tcp(1024, PORT, nonce, 4)),
	as("a container cannot send an ICMPv6 echo request from another's address", 6, (nonce) => echoRequest(6, nonce)),
	as("a container cannot send an ICMP echo request from another's address", 4, (nonce) => echoRequest(4, nonce)),
	{
		title: "a container cannot tell others of another's path MTU",
		shots: (arena, nonce) => {
			const { api, peer } = arena.lab;
			// as if the peer's datagram to api had met a smaller link
			const inner = (family: Family) =>
				buildPacket({
					source: peer.address(family),
					destination: api.address(family),
					transport: udp(PORT, PORT, nonce(family)),
				});
			const four = Buffer.from([0, 0, 5, 0]);
			return [
				arena.frame({
					source: api.ipv6,
					destination: peer.ipv6,
					transport: icmp(6, 2, 0, Buffer.concat([four, inner(6)])),
				}),
				arena.frame({
					source: api.ipv4,
					destination: peer.ipv4,
					transport: icmp(4, 3, 4, Buffer.concat([four, inner(4)])),
				}),
			];
		},
		verdict: 'SPOOFED_SOURCE',
		control: 'peer',
	},
	...fragments(6),
	...fragments(4),
	...([6, 4] as const).map((family) =>
		as(
			`a container cannot send IPv${family} segments that are yet to be cut (GSO) from another's address`,
			family,
			(nonce) => tcp(1024, PORT, nonce.padEnd(64, '.').repeat(40)),
			{ socket: { vnet: true }, reshape: asSegments(family) },
		),
	),
	{
		...from("a container cannot send from another's address round the hooks of its device", ({ lab }) => lab.api.ipv6),
		socket: { bypass: true },
		verdict: (device) => (device.startsWith('ipvlan') ? 'host:eth0 SPOOFED_SOURCE' : 'SPOOFED_SOURCE'),
	},
	{
		...from("a container cannot send from another's address by AF_XDP", ({ lab }) => lab.api.ipv6),
		socket: { xdp: true },
		verdict: (device) => {
			if (device.startsWith('netkit')) return 'NOT_IP';
			if (device === 'ipvlan-l2') return 'host:eth0 SPOOFED_SOURCE';
			// in layer 3 ipvlan drops by itself what has no protocol, as its socket has none
			return device.startsWith('ipvlan') ? [] : 'SPOOFED_SOURCE';
		},
		control: (device) =>
			// without a protocol netkit has it for nobody but its own other end
			device.startsWith('netkit')
				? 'host'
				: controls({ pair: 'peer', l2: 'peer', l3: 'ipvlan takes no frame without a protocol' })(device),
	},
];
