/** To a container of a tenant that nobody allows. */
import { echoRequest, type Transport, tcp, udp } from '../support/frames.ts';
import { type Attack, PORT } from './arena.ts';

const FORMS: readonly (readonly [string, (family: 4 | 6, nonce: string) => Transport])[] = [
	['a datagram', (_, nonce) => udp(PORT, PORT, nonce)],
	['a connection request', (_, nonce) => tcp(1024, PORT, nonce)],
	['an echo request', (family, nonce) => echoRequest(family, nonce)],
];
const PRIVATE = 'ipvlan is private: its slaves hand each other nothing';

export const TENANTS: readonly Attack[] = [
	...FORMS.map(
		([what, transport]): Attack => ({
			title: `a container cannot send ${what} to a container of another tenant`,
			shots: (arena, nonce) =>
				([6, 4] as const).map((family) =>
					arena.frame(
						{
							source: arena.lab.web.address(family),
							destination: arena.lab.api.address(family),
							transport: transport(family, nonce(family)),
						},
						arena.localMac,
					),
				),
			verdict: 'FOREIGN_TENANT',
			control: (device) => (device.startsWith('ipvlan') ? PRIVATE : 'api'),
		}),
	),
	{
		title: 'a container cannot send to another tenant by a router beyond the uplink',
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => [
			arena.frame({
				source: arena.lab.web.ipv6,
				destination: arena.lab.api.ipv6,
				transport: udp(PORT, PORT, nonce(0)),
			}),
		],
		verdict: 'FOREIGN_TENANT',
		control: 'peer',
	},
	{
		title: 'a container cannot do that round the hooks of its device',
		on: ['ipvlan-l2'],
		shots: (arena, nonce) => [
			arena.frame({
				source: arena.lab.web.ipv6,
				destination: arena.lab.api.ipv6,
				transport: udp(PORT, PORT, nonce(0)),
			}),
		],
		socket: { bypass: true },
		verdict: 'host:eth0 FOREIGN_TENANT',
		control: 'peer',
	},
	{
		title: 'a container cannot send fragments to another tenant',
		shots: (arena, nonce) =>
			([6, 4] as const).map((family) =>
				arena.frame(
					{
						source: arena.lab.web.address(family),
						destination: arena.lab.api.address(family),
						transport: udp(PORT, PORT, nonce(family).padEnd(64) + nonce(family)),
						fragment: { id: 5, offset: 64, more: false },
					},
					arena.localMac,
				),
			),
		verdict: 'FOREIGN_TENANT',
		control: (device) => (device.startsWith('ipvlan') ? PRIVATE : 'api'),
	},
	{
		title: 'a container cannot send fragments that overlap to another tenant',
		shots: (arena, nonce) =>
			([6, 4] as const).flatMap((family) =>
				[
					{ id: 6, offset: 0, length: 64, more: true },
					{ id: 6, offset: 32, length: 40, more: true },
					{ id: 6, offset: 64, more: false },
				].map((fragment, index) =>
					arena.frame(
						{
							source: arena.lab.web.address(family),
							destination: arena.lab.api.address(family),
							transport: udp(PORT, PORT, nonce(10 * family + index).padEnd(64) + nonce(10 * family + index)),
							fragment,
						},
						arena.localMac,
					),
				),
			),
		verdict: 'FOREIGN_TENANT',
		control: (device) => (device.startsWith('ipvlan') ? PRIVATE : 'api'),
	},
];
