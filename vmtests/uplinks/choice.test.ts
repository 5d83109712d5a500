import { DUPLICATES, describe, expect, type Forward, type LabRequest, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import { beyond, PAIRS, peerByEth1, SLAVES, type Wired } from './two-wires.ts';

/** web prefers eth0, api has eth1 alone. Where routes decide, web has eth1 too. */
const WIRED: readonly Wired[] = [
	{
		title: 'veth: web by fib, api by redirect',
		needs: ['veth'],
		lab: {
			device: 'veth',
			forward: 'fib',
			containers: { web: { uplinks: ['eth0', 'eth1'] }, api: { uplinks: ['eth1'], forward: 'redirect' } },
		},
	},
	...PAIRS.flatMap((device): Wired[] => [
		...(['stack', 'fib'] as const).map((forward) => ({
			title: `${device}, ${forward}`,
			needs: DEVICE_NEEDS[device],
			lab: { device, forward, containers: two(['eth0', 'eth1']) },
		})),
		{
			title: `${device}, redirect`,
			needs: DEVICE_NEEDS[device],
			lab: { device, forward: 'redirect', containers: two(['eth0']) },
		},
	]),
	...PAIRS.map(
		(device): Wired => ({
			title: `${device}, redirect-egress`,
			needs: [...DEVICE_NEEDS[device], 'redirect-peer-egress'],
			lab: { device, forward: 'redirect-egress', containers: two(['eth0']) },
		}),
	),
	...SLAVES.map(
		(device): Wired => ({
			title: `${device}, native`,
			needs: DEVICE_NEEDS[device],
			lab: { device, forward: 'native', containers: two(['eth0']) },
		}),
	),
];

function two(web: ('eth0' | 'eth1')[]): LabRequest['containers'] {
	return { web: { uplinks: web }, api: { uplinks: ['eth1'] } };
}

const BY_ETH0 = path`…, web:eth0 xmit, …, host:eth0 xmit, peer:eth0 receive, peer udp deliver`;
const BY_ETH1 = path`…, api:eth0 xmit, …, host:eth1 xmit, peer:eth1 receive, peer udp deliver`;

function chosen({ needs, lab: wired }: Wired): void {
	const way = wayOf(wired.containers?.api?.forward ?? wired.forward);

	test('two containers reach one destination, each by its own uplink', async ({ lab, requires }) => {
		await requires(...needs);
		const made = await lab(wired);
		const far = beyond(made);
		for (const family of [6, 4] as const) {
			expect(await made.web.udp(far, 53, { family })).toFollowPath(BY_ETH0);
			expect(await made.api.udp(far, 53, { family })).toFollowPath(BY_ETH1);
		}
	});

	test('a connection that came by an uplink is answered by it', async ({ lab, requires }) => {
		await requires(...needs);
		const { peer, api } = await lab(wired);
		for (const family of [6, 4] as const) {
			const trace = await peer.curl(api, { family });
			expect(trace.in).toFollowPath(path`peer:eth1 xmit, host:eth1 receive, …, api tcp deliver`, {
				ignoring: DUPLICATES,
			});
			expect(trace.out).toFollowPath(path`…, api:eth0 xmit, …, host:eth1 xmit, peer:eth1 receive, peer tcp deliver`, {
				ignoring: DUPLICATES,
			});
		}
	});

	const other = 'what comes for a container by another uplink than its own';
	test(`${other} ${OTHERWISE[way]}`, async ({ lab, requires }) => {
		await requires(...needs);
		const made = await lab(wired);
		const { peer, api } = made;
		await peer.exec(['sh', '-ec', REROUTE_API]);
		for (const family of [6, 4] as const) {
			const trace = await peer.udp(api, 53, { family, listen: way === 'stack' });
			if (way === 'stack') expect(trace).toFollowPath(path`peer:eth0 xmit, host:eth0 receive, …, api udp deliver`);
			else if (way === 'native') expect(trace.in).not.toMatchObject([{ delivered: true }]);
			else expect(trace).toBeDroppedAt('host:eth0 ingress[ingress_peer → drop]', DROPPED);
		}
		expect((await made.drops()).filter(({ at }) => at === 'host:eth0')).toEqual(
			way === 'past' ? [{ at: 'host:eth0', reason: 'WRONG_UPLINK', count: 2 }] : [],
		);
	});

	test('a neighbour on the wire of another is not reached by that wire', async ({ lab, requires }) => {
		await requires(...needs);
		const made = await lab(wired);
		const { api } = made;
		for (const family of [6, 4] as const) {
			// the peer's address on eth0's own network, to which the host has a better route than by default
			const trace = await api.udp(made.peer, 53, { family, listen: false });
			expect(trace.out).not.toTraverse('host:eth0 xmit');
		}
	});

	test('the host itself goes on sending by its own routes', { tags: [FULL] }, async ({ lab, requires }) => {
		await requires(...needs);
		const made = await lab(wired);
		for (const family of [6, 4] as const) {
			expect(await made.host.udp(made.peer, 53, { family })).toTraverse('host:eth0 xmit');
			expect(await made.host.udp(peerByEth1(made), 53, { family })).toTraverse('host:eth1 xmit');
		}
	});
}

/** What decides over a packet from the wire: the programs, past the stack; the stack; ipvlan itself. */
function wayOf(forward: Forward): 'past' | 'stack' | 'native' {
	return forward === 'stack' || forward === 'native' ? forward : 'past';
}

const OTHERWISE = {
	past: 'is dropped there',
	stack: 'comes in, as the host routes it',
	native: 'finds nobody there',
} as const;

const REROUTE_API = `ip route replace 2001:db8:0:2::11 via 2001:db8:0:1::1
ip route replace 198.51.100.11 via 192.0.2.1`;
/** where kernels give no reason, the function */
const DROPPED = ['TC_INGRESS', '__netif_receive_skb_core'];

const TITLE = 'a host with two uplinks: $title';
describe.for(WIRED)(TITLE, { tags: [FULL] }, chosen);
