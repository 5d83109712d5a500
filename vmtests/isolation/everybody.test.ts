/** What one slave sends to all of them. */
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { udp } from '../support/frames.ts';
import { Arena, type Attack, arenaRequest, IPVLAN, PORT } from './arena.ts';

const SPOOF: Attack = {
	title: 'to everybody, from an address that is not its own, round the hooks of its device',
	shots: ({ lab: { api }, macs }, nonce) => [
		{
			from: macs.own,
			to: '33:33:00:00:00:01',
			payload: { source: api.ipv6, destination: 'ff02::1', transport: udp(PORT, PORT, nonce(0)) },
		},
	],
	socket: { bypass: true },
	verdict: ['host:eth0 SPOOFED_SOURCE', 'api:eth0 LINK_SCOPE'],
	control: 'api',
};

test('what a slave of layer 2 sends to everybody is seen by tcpdump on its neighbours before any program is asked, and by no socket', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires(...IPVLAN);
	const arena = await Arena.open(await lab(arenaRequest('ipvlan-l2', 'native', true)));
	const { drops, heard } = await arena.commit(SPOOF, 1, { drops: 2 });
	expect({ drops, heard }).toEqual({ drops: arena.verdictOf(SPOOF), heard: ['api'] });
	const ordinary = await arena.commit({ ...SPOOF, socket: {} }, 2, { drops: 1 });
	expect(ordinary).toMatchObject({ drops: { 'web:eth0 SPOOFED_SOURCE': 1 }, heard: [] });
});
