/** Frames and headers that are not what they say, or say too much. */
import {
	ETHERTYPE,
	emptyOptions,
	type FrameOptions,
	type PacketOptions,
	PROTOCOL,
	routeOption,
	routingHeader,
	udp,
} from '../support/frames.ts';
import type { Device } from '../support/types.ts';
import { type Arena, type Attack, controls, PORT, type Verdict } from './arena.ts';

/** What the container may send: to the peer, from its own address. */
function own(arena: Arena, nonce: string, more: Partial<PacketOptions> = {}, family: 4 | 6 = 6): FrameOptions {
	const { web, peer } = arena.lab;
	return arena.frame({
		source: web.address(family),
		destination: peer.address(family),
		transport: udp(PORT, PORT, nonce),
		...more,
	});
}

const NO_STACK = 'no stack takes it';
/** ipvlan in layer 2 puts on the wire whatever it is given. */
const ON_L2_ALONE = controls({ pair: NO_STACK, l2: 'peer', l3: NO_STACK });
const ON_PAIRS_AND_L2 = controls({ pair: 'peer', l2: 'peer', l3: NO_STACK });

/** netkit leaves it to the sender what a frame is said to carry: the host's device has it, and no stack takes it. */
const AS_SAID = (device: Device) => (device.startsWith('netkit') ? 'host' : ON_PAIRS_AND_L2(device));

function by(of: Record<'veth' | 'netkit-l2' | 'netkit-l3' | 'ipvlan', Verdict>): (device: Device) => Verdict {
	return (device) => of[device.startsWith('ipvlan') ? 'ipvlan' : (device as keyof typeof of)];
}

export const HEADERS: readonly Attack[] = [
	{
		title: 'a container cannot send a tagged frame',
		shots: (arena, nonce) => [{ ...own(arena, nonce(0)), tags: [{ id: 5 }] }],
		verdict: (device) => (device === 'veth' ? 'VLAN_TAG' : 'NOT_IP'),
		control: ON_L2_ALONE,
	},
	{
		title: 'a container cannot send a frame with a priority tag',
		shots: (arena, nonce) => [{ ...own(arena, nonce(0)), tags: [{ id: 0, priority: 7 }] }],
		verdict: (device) => (device === 'veth' ? 'VLAN_TAG' : 'NOT_IP'),
		control: ON_PAIRS_AND_L2,
	},
	{
		title: 'a container cannot send a frame with two tags',
		shots: (arena, nonce) => [{ ...own(arena, nonce(0)), tags: [{ id: 5, type: ETHERTYPE.qinq }, { id: 6 }] }],
		verdict: (device) => (device === 'veth' ? 'VLAN_TAG' : 'NOT_IP'),
		control: ON_L2_ALONE,
	},
	{
		title: 'a container cannot send what is neither IP nor ARP',
		shots: (arena, nonce) => [
			{ ...own(arena, ''), type: 0x88b5, payload: Buffer.from(nonce(0).padEnd(60)) },
			{ ...own(arena, ''), type: 0x88cc, payload: Buffer.from(nonce(1).padEnd(60)) },
		],
		verdict: 'NOT_IP',
		control: ON_L2_ALONE,
	},
	{
		title: 'a container cannot send another protocol than its socket says: IPv6 that is called IPv4',
		shots: (arena, nonce) => [own(arena, nonce(0), { source: arena.lab.api.ipv6 })],
		socket: { protocol: ETHERTYPE.ipv4 },
		verdict: by({ veth: 'SPOOFED_SOURCE', 'netkit-l2': 'MALFORMED', 'netkit-l3': 'MALFORMED', ipvlan: 'NOT_IP' }),
		control: AS_SAID,
	},
	{
		title: 'a container cannot send another protocol than its socket says: IPv6 that is called ARP',
		shots: (arena, nonce) => [own(arena, nonce(0), { source: arena.lab.api.ipv6 })],
		socket: { protocol: ETHERTYPE.arp },
		verdict: by({
			veth: 'SPOOFED_SOURCE',
			'netkit-l2': 'SPOOFED_NEIGHBOUR',
			'netkit-l3': 'MALFORMED',
			ipvlan: 'NOT_IP',
		}),
		control: AS_SAID,
	},
	{
		title: 'a container cannot send another protocol than its socket says: IPv6 of a protocol that nobody knows',
		shots: (arena, nonce) => [own(arena, nonce(0), { source: arena.lab.api.ipv6 })],
		socket: { protocol: 0x88b5 },
		verdict: by({ veth: 'SPOOFED_SOURCE', 'netkit-l2': 'NOT_IP', 'netkit-l3': 'NOT_IP', ipvlan: 'NOT_IP' }),
		control: AS_SAID,
	},
	{
		title: 'a container cannot reach another through its uplink by a protocol that ipvlan does not know',
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => {
			const { web, api } = arena.lab;
			return [
				arena.frame({ source: web.ipv6, destination: api.ipv6, transport: udp(PORT, PORT, nonce(0)) }, arena.macs.own),
			];
		},
		socket: { protocol: 0x88b5 },
		verdict: 'NOT_IP',
		control: 'api socket',
	},
	{
		title: 'a container cannot do that round the hooks of its device either',
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => {
			const { web, api } = arena.lab;
			return [
				arena.frame({ source: web.ipv6, destination: api.ipv6, transport: udp(PORT, PORT, nonce(0)) }, arena.macs.own),
			];
		},
		socket: { protocol: 0x88b5, bypass: true },
		verdict: 'host:eth0 SPOOFED_SOURCE',
		control: 'api socket',
	},
	{
		title: 'a container cannot reach another by unicast in a multicast frame',
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => {
			const { web, api } = arena.lab;
			return [
				arena.frame(
					{ source: web.ipv6, destination: api.ipv6, transport: udp(PORT, PORT, nonce(0)) },
					'33:33:00:00:00:01',
				),
			];
		},
		verdict: 'FOREIGN_TENANT',
		control: 'api socket',
	},
	{
		title: 'a container cannot send to everybody on the wire what is for one',
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => [
			{ ...own(arena, nonce(0)), to: 'ff:ff:ff:ff:ff:ff' },
			{ ...own(arena, nonce(1)), to: '33:33:00:00:00:01' },
			{ ...own(arena, nonce(2), { destination: '192.0.2.255' }, 4), to: 'ff:ff:ff:ff:ff:ff' },
		],
		verdict: 'LINK_SCOPE',
		control: 'peer',
	},
	{
		title: 'a container cannot send a frame that is cut short, in the IPv6 header',
		shots: (arena, nonce) => [own(arena, nonce(0))],
		reshape: (frame) => frame.subarray(0, 14 + 38),
		verdict: 'MALFORMED',
		control: NO_STACK,
	},
	{
		title: 'a container cannot send a frame that is cut short, in the IPv4 header',
		shots: (arena, nonce) => [own(arena, nonce(0), {}, 4)],
		reshape: (frame) => frame.subarray(0, 14 + 18),
		verdict: 'MALFORMED',
		control: NO_STACK,
	},
	...([0, 4] as const).map(
		(type): Attack => ({
			title: `a container cannot name stations of its own with a routing header of type ${type}`,
			shots: (arena, nonce) => {
				const { host, api } = arena.lab;
				const extensions = [routingHeader(type, [api.ipv6])];
				return [
					own(arena, nonce(0), { destination: host.ipv6, extensions, finalDestination: api.ipv6 }),
					own(arena, nonce(1), { extensions }),
				];
			},
			verdict: 'SOURCE_ROUTE',
			control: 'peer',
		}),
	),
	{
		title: 'a container cannot hide a routing header behind hop-by-hop options',
		shots: (arena, nonce) => [
			own(arena, nonce(0), { extensions: [emptyOptions(PROTOCOL.hopByHop), routingHeader(0, [arena.lab.api.ipv6])] }),
			own(arena, nonce(1), {
				extensions: [
					emptyOptions(PROTOCOL.hopByHop),
					emptyOptions(PROTOCOL.destination),
					routingHeader(0, [arena.lab.api.ipv6]),
				],
			}),
		],
		verdict: 'SOURCE_ROUTE',
		control: 'peer',
	},
	{
		title: 'a container cannot hide a routing header in a fragment',
		shots: (arena, nonce) => {
			const transport = {
				protocol: PROTOCOL.routing,
				bytes: Buffer.concat([
					Buffer.from([PROTOCOL.udp]),
					routingHeader(0, [arena.lab.api.ipv6]).rest,
					Buffer.from(nonce(0)),
				]),
			};
			return [own(arena, nonce(0), { transport, fragment: { id: 9, offset: 0, more: true, length: 32 } })];
		},
		verdict: 'SOURCE_ROUTE',
		control: 'peer',
	},
	{
		title: 'a container cannot send more extension headers than anybody reads',
		shots: (arena, nonce) => [own(arena, nonce(0), { extensions: Array(5).fill(emptyOptions(PROTOCOL.destination)) })],
		verdict: 'SOURCE_ROUTE',
		control: 'peer',
	},
	...(
		[
			['a loose source route', 131],
			['a strict source route', 137],
			['a record of its route', 7],
		] as const
	).map(
		([what, kind]): Attack => ({
			title: `a container cannot send ${what}, by its host towards another tenant`,
			shots: (arena, nonce) => {
				const { host, api } = arena.lab;
				return [
					own(arena, nonce(0), { destination: host.ipv4, options: routeOption(kind, [api.ipv4]) }, 4),
					own(arena, nonce(1), { options: routeOption(kind, [api.ipv4]) }, 4),
				];
			},
			verdict: 'SOURCE_ROUTE',
			control: kind === 7 ? 'peer' : controls({ pair: 'the stack takes no source route', l2: 'peer', l3: 'peer' }),
		}),
	),
	{
		title: 'a container cannot send to a loopback or unspecified address',
		shots: (arena, nonce) =>
			[
				...['::1', '::', '::ffff:127.0.0.1'].map((destination, index) => own(arena, nonce(index), { destination })),
				...['127.0.0.1', '127.8.8.8', '0.0.0.0'].map((destination, index) =>
					own(arena, nonce(3 + index), { destination }, 4),
				),
			].map((frame) => ({ ...frame, to: arena.localMac })),
		verdict: 'MARTIAN',
		control: controls({ pair: 'peer', l2: 'the uplink takes it for its own', l3: 'host socket' }),
	},
	{
		title: "a container cannot reach its host's IPv4 address, mapped into IPv6",
		shots: (arena, nonce) => [own(arena, nonce(0), { destination: `::ffff:${arena.lab.host.ipv4}` })],
		verdict: 'MARTIAN',
		control: 'peer',
	},
	{
		title: 'a container cannot send multicast',
		shots: (arena, nonce) => [
			...['ff02::1', 'ff02::fb', 'ff05::2', 'ff0e::1'].map((destination, index) => ({
				...own(arena, nonce(index), { destination }),
				to: '33:33:00:00:00:01',
			})),
			...['224.0.0.1', '224.0.0.251', '239.1.2.3'].map((destination, index) => ({
				...own(arena, nonce(4 + index), { destination }, 4),
				to: '01:00:5e:00:00:01',
			})),
		],
		verdict: 'LINK_SCOPE',
		control: controls({ pair: 'host socket', l2: 'peer', l3: 'ipvlan in layer 3 takes no frame for many' }),
	},
	{
		title: 'a container cannot send broadcast',
		shots: (arena, nonce) => [
			{ ...own(arena, nonce(0), { destination: '255.255.255.255' }, 4), to: 'ff:ff:ff:ff:ff:ff' },
		],
		verdict: 'LINK_SCOPE',
		control: controls({ pair: 'host socket', l2: 'peer', l3: NO_STACK }),
	},
	{
		title: 'a container cannot send to a link-local address',
		shots: (arena, nonce) => [
			own(arena, nonce(0), { destination: 'fe80::2' }),
			own(arena, nonce(1), { destination: '169.254.169.254' }, 4),
		],
		verdict: 'LINK_SCOPE',
		control: 'peer',
	},
	{
		title: "a container cannot send with another's MAC address",
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => [{ ...own(arena, nonce(0)), from: '02:00:00:00:66:66' }],
		verdict: 'SPOOFED_NEIGHBOUR',
		control: 'peer',
	},
];
