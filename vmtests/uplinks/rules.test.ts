/** What a host's rules may ask for is told them of a container's packet, as if the host's own stack routed it. */
import { describe, expect, type LabRequest, path, test } from 'pathproof';
import { captured } from '../support/capture.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { beyond, inHost } from './two-wires.ts';

const BY_ETH0 = path`web:eth0 xmit, …, host:eth0 xmit, peer:eth0 receive, peer udp deliver`;
const BY_ETH1 = path`web:eth0 xmit, …, host:eth1 xmit, peer:eth1 receive, peer udp deliver`;

const ALL_BY_ETH1 = [
	'ip -6 route add default via 2001:db8:0:3::2 dev eth1 table 99',
	'ip -4 route add default via 203.0.113.2 dev eth1 table 99',
];
/** Of both families, before the rules of containers. */
const rule = (words: string) =>
	['-6', '-4'].map((family) => `ip ${family} rule add pref 10 iif web ${words} lookup 99`);

describe.for([
	{ forward: 'fib' as const, when: turn(2) },
	{ forward: 'stack' as const, when: { tags: [FULL] } },
])('by $forward', ({ forward, when }) => {
	const WIRED: LabRequest = { device: 'veth', forward, containers: { web: { uplinks: ['eth0', 'eth1'] } } };

	test('a rule that asks for a protocol and a port chooses the uplink for those alone', when, async ({ lab }) => {
		const made = await lab(WIRED);
		await inHost(made, ...ALL_BY_ETH1, ...rule('ipproto udp dport 53'));
		for (const family of [6, 4] as const) {
			expect(await made.web.udp(beyond(made), 53, { family })).toFollowPath(BY_ETH1);
			expect(await made.web.udp(beyond(made), 54, { family })).toFollowPath(BY_ETH0);
		}
	});

	test('a rule that asks for a type of service chooses the uplink for that alone', { tags: [FULL] }, async ({
		lab,
	}) => {
		const made = await lab(WIRED);
		await inHost(made, ...ALL_BY_ETH1, ...rule('tos 0x10'));
		const seen = await captured(made.peer, '-i eth1 --direction in udp', async () => {
			for (const words of [
				'UDP6-SENDTO:[2001:db8:0:f::1]:60,ipv6-tclass=16',
				'UDP4-SENDTO:198.18.0.1:60,tos=16',
				'UDP6-SENDTO:[2001:db8:0:f::1]:61',
				'UDP4-SENDTO:198.18.0.1:61',
			])
				await made.web.exec(['socat', '-u', '-', words], { input: 'x' });
		});
		expect(Array.from(seen.matchAll(/ > (\S+): /g), ([, to]) => to)).toEqual(['2001:db8:0:f::1.60', '198.18.0.1.60']);
	});

	test('the pieces of a datagram go by one uplink, whichever rule asks for their protocol', { tags: [FULL] }, async ({
		lab,
	}) => {
		const made = await lab(WIRED);
		await inHost(made, ...ALL_BY_ETH1, ...rule('ipproto udp'));
		for (const family of [6, 4] as const) {
			const trace = await made.web.udp(beyond(made), 53, { family, size: 4000 });
			const pieces = trace.out.filter(({ packet }) => packet.detail.startsWith('fragment'));
			expect(pieces).toHaveLength(3);
			for (const piece of pieces) expect(piece).toTraverse('host:eth1 xmit');
		}
	});
});
