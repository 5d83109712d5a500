/** ARP and neighbour discovery in somebody else's name. */
import { addressBytes, arp, icmp, neighbourMessage } from '../support/frames.ts';
import type { Device } from '../support/types.ts';
import { type Arena, type Attack, controls } from './arena.ts';

const ETHERNET = ['veth', 'netkit-l2', 'ipvlan-l2'] as const;
const EVIL = '02:00:00:00:66:66';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

function arpFrame(arena: Arena, message: Omit<Parameters<typeof arp>[0], 'senderMac'>, nonce: string, to = BROADCAST) {
	return { from: arena.macs.own, to, payload: arp({ senderMac: EVIL, ...message, trailer: nonce.padEnd(18, ' ') }) };
}

function nd(
	arena: Arena,
	source: string,
	destination: string,
	transport: ReturnType<typeof icmp>,
	nonce: string,
	to = '33:33:00:00:00:01',
) {
	// an option that nobody knows carries the nonce
	const option = Buffer.concat([Buffer.from([253, 2]), Buffer.from(nonce.padEnd(14, ' '))]);
	return {
		from: arena.macs.own,
		to,
		payload: {
			source,
			destination,
			hops: 255,
			transport: { ...transport, bytes: Buffer.concat([transport.bytes, option]) },
		},
	};
}

const HOST_OR_PEER = controls({ pair: 'host', l2: 'peer', l3: 'no device of layer 3 has neighbours' });
/** A slave's ARP is known by whose address it bears. */
const IN_ANOTHERS_NAME = (device: Device) => (device === 'ipvlan-l2' ? 'SPOOFED_SOURCE' : 'SPOOFED_NEIGHBOUR');

export const NEIGHBOURS: readonly Attack[] = [
	{
		title: "a container cannot announce another's IPv4 address as its own (gratuitous ARP)",
		on: ETHERNET,
		shots: (arena, nonce) =>
			[arena.lab.host, arena.lab.peer, arena.lab.api].map(({ ipv4 }, index) =>
				arpFrame(arena, { operation: 'request', sender: ipv4, target: ipv4 }, nonce(index)),
			),
		verdict: IN_ANOTHERS_NAME,
		control: HOST_OR_PEER,
	},
	{
		title: "a container cannot answer for another's IPv4 address, unasked",
		on: ETHERNET,
		shots: (arena, nonce) => [
			arpFrame(
				arena,
				{ operation: 'reply', sender: arena.lab.peer.ipv4, target: arena.lab.host.ipv4 },
				nonce(0),
				arena.localMac,
			),
			arpFrame(
				arena,
				{ operation: 'reply', sender: arena.lab.host.ipv4, target: arena.lab.peer.ipv4 },
				nonce(1),
				arena.macs.gateway,
			),
		],
		verdict: IN_ANOTHERS_NAME,
		control: HOST_OR_PEER,
	},
	{
		title: 'a container cannot probe for an IPv4 address',
		on: ETHERNET,
		shots: (arena, nonce) => [
			arpFrame(arena, { operation: 'request', sender: '0.0.0.0', target: arena.lab.peer.ipv4 }, nonce(0)),
		],
		verdict: IN_ANOTHERS_NAME,
		control: HOST_OR_PEER,
	},
	{
		title: "a container cannot ask by ARP in another's name",
		on: ETHERNET,
		shots: (arena, nonce) => [
			arpFrame(
				arena,
				{
					operation: 'request',
					sender: arena.lab.api.ipv4,
					target: arena.isPair ? arena.lab.host.ipv4 : arena.lab.peer.ipv4,
				},
				nonce(0),
			),
		],
		verdict: IN_ANOTHERS_NAME,
		control: HOST_OR_PEER,
	},
	{
		title: "a container cannot tell its own IPv4 address with another's MAC",
		on: ETHERNET,
		shots: (arena, nonce) => [
			arpFrame(arena, { operation: 'reply', sender: arena.lab.web.ipv4, target: arena.lab.peer.ipv4 }, nonce(0)),
		],
		verdict: 'SPOOFED_NEIGHBOUR',
		control: HOST_OR_PEER,
	},
	...(['host', 'peer', 'api'] as const).map(
		(whose): Attack => ({
			title: `a container cannot advertise the IPv6 address of ${whose === 'api' ? 'another container' : `the ${whose}`}, from that or from its own`,
			on: ETHERNET,
			shots: (arena, nonce) => {
				const target = arena.lab[whose].ipv6;
				const message = neighbourMessage('advertisement', { target, mac: EVIL });
				return [
					nd(arena, target, 'ff02::1', message, nonce(0)),
					nd(arena, arena.lab.web.ipv6, 'ff02::1', message, nonce(1)),
					nd(arena, arena.lab.web.ipv6, arena.lab.peer.ipv6, message, nonce(2), arena.macs.gateway),
				];
			},
			verdict: ['SPOOFED_SOURCE', 'SPOOFED_NEIGHBOUR', 'SPOOFED_NEIGHBOUR'],
			control: HOST_OR_PEER,
		}),
	),
	{
		title: "a container cannot solicit in another's name",
		on: ETHERNET,
		shots: (arena, nonce) => [
			nd(
				arena,
				arena.lab.api.ipv6,
				'ff02::1:ff00:2',
				neighbourMessage('solicitation', { target: arena.lab.peer.ipv6, mac: EVIL }),
				nonce(0),
			),
			nd(
				arena,
				'::',
				'ff02::1:ff00:2',
				neighbourMessage('solicitation', { target: arena.lab.peer.ipv6, mac: EVIL }),
				nonce(1),
			),
		],
		// from nobody, as a stack does that is new: nobody's neighbour, where neighbours are answered
		verdict: (device) => (device === 'ipvlan-l2' ? 'SPOOFED_SOURCE' : ['SPOOFED_SOURCE', 'SPOOFED_NEIGHBOUR']),
		control: HOST_OR_PEER,
	},
	{
		title: "a container cannot solicit with another's MAC address",
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => [
			nd(
				arena,
				arena.lab.web.ipv6,
				'ff02::1:ff00:2',
				neighbourMessage('solicitation', { target: arena.lab.peer.ipv6, mac: EVIL }),
				nonce(0),
			),
		],
		verdict: 'SPOOFED_NEIGHBOUR',
		control: 'peer',
	},
	{
		title: 'a container cannot say that it is a router',
		on: ETHERNET,
		shots: (arena, nonce) => {
			const advertisement = icmp(6, 134, 0, Buffer.from([64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]));
			return ['fe80::1', 'fe80::bad', arena.lab.web.ipv6].map((source, index) =>
				nd(arena, source, 'ff02::1', advertisement, nonce(index)),
			);
		},
		verdict: ['SPOOFED_SOURCE', 'SPOOFED_SOURCE', 'SPOOFED_NEIGHBOUR'],
		control: HOST_OR_PEER,
	},
	{
		title: 'a container cannot redirect others to another router',
		on: ETHERNET,
		shots: (arena, nonce) => {
			const { api, peer, web } = arena.lab;
			const redirect = icmp(
				6,
				137,
				0,
				Buffer.concat([Buffer.alloc(4), addressBytes(web.ipv6), addressBytes(api.ipv6)]),
			);
			return ['fe80::1', web.ipv6].map((source, index) =>
				nd(arena, source, peer.ipv6, redirect, nonce(index), arena.macs.gateway),
			);
		},
		verdict: ['SPOOFED_SOURCE', 'SPOOFED_NEIGHBOUR'],
		control: HOST_OR_PEER,
	},
];
