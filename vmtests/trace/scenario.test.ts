/**
 * One scenario on every kernel: a container, its host and a peer, UDP, TCP and ICMP, IPv6 and IPv4, there and back. The paths are
 * written once, by device and way of forwarding. What differs between kernels all the same is the table of differences.
 */
import { DUPLICATES, describe, expect, type Lab, path, test } from 'pathproof';
import { askFeatures } from '../../kernels/ask.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

interface Ways {
	device: 'veth' | 'netkit';
	forward: 'redirect' | 'stack';
	/** from the container to the peer's device, and back to the container's; `IP` is that of the packet's family */
	out: string;
	in: string;
	/** the family of the default run: the other takes the same way */
	sample?: 4 | 6;
}

const RECEIVED = { veth: 'host backlog, host:web receive', netkit: '' } as const;

const WAYS: readonly Ways[] = [
	{
		device: 'veth',
		forward: 'redirect',
		out: `web:eth0 xmit, ${RECEIVED.veth}, host:web ingress[egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive`,
		in: 'peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[ingress_peer → redirect], web:eth0 receive',
		sample: 6,
	},
	{
		device: 'netkit',
		forward: 'redirect',
		out: 'web:eth0 xmit, host:web ingress[egress_neigh → redirect], host:eth0 xmit, peer:eth0 receive',
		in: 'peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[ingress_peer → redirect], web:eth0 receive',
		sample: 4,
	},
	{
		device: 'veth',
		forward: 'stack',
		out: 'web:eth0 xmit, host backlog, host:web receive, host:web ingress[egress_guard → pass], host IP receive, host IP forward, host:eth0 xmit, peer:eth0 receive',
		in: 'peer:eth0 xmit, host:eth0 receive, host IP receive, host IP forward, host:web xmit, web backlog, web:eth0 receive',
	},
	{
		device: 'netkit',
		forward: 'stack',
		out: 'web:eth0 xmit, host:web ingress[egress_guard → pass], host backlog, host:web receive, host IP receive, host IP forward, host:eth0 xmit, peer:eth0 receive',
		in: 'peer:eth0 xmit, host:eth0 receive, host IP receive, host IP forward, host:web xmit, web backlog, web:eth0 receive',
	},
];

/** The way past the stack on every kernel, and on one of those that have netkit. */
const SAMPLED = { veth: {}, netkit: turn(0, 'netkit') };

describe.for(WAYS)('$device, $forward', ({ device, forward, sample, ...ways }) => {
	for (const family of [6, 4] as const) {
		const title = `IPv${family} takes the same way for UDP, TCP and ICMP, there and back`;
		test(title, sample === family ? SAMPLED[device] : { tags: [FULL] }, async ({ lab, requires }) => {
			await requires(device);
			const { web, peer } = await lab({ device, forward });
			const ip = family === 6 ? 'ip6' : 'ip';
			const way = (direction: 'out' | 'in', end: string) =>
				path`${ways[direction].replaceAll('IP', ip)}, ${direction === 'out' ? 'peer' : 'web'} ${end} deliver`;

			expect(await web.udp(peer, 53, { family })).toFollowPath(way('out', 'udp'));
			expect(await peer.udp(web, 53, { family })).toFollowPath(way('in', 'udp'));
			const tcp = await web.curl(peer, { family });
			expect(tcp.out).toFollowPath(way('out', 'tcp'), { ignoring: DUPLICATES });
			expect(tcp.in).toFollowPath(way('in', 'tcp'), { ignoring: DUPLICATES });
			expect(tcp).toBeAccountedFor();
			const echo = await web.ping(peer, { family });
			expect(echo.out).toFollowPath(way('out', 'icmp'));
			expect(echo.in).toFollowPath(way('in', 'icmp'));
		});
	}
});

/** What the same scenario shows differently, by the feature that the kernel has or lacks. Nothing else may. */
const DIFFERENCES = [
	{
		title: 'the datapath hangs on veth by a TCX link, and before 6.6 (e420bed02507) by a filter of clsact',
		feature: 'tcx',
		see: async ({ web, peer }: Lab) => (await web.udp(peer, 53)).at('host:web ingress').attach,
		with: 'tcx',
		without: 'clsact',
	},
	{
		title: 'a drop is named by its reason, and before 5.17 (c504e5c2f964) by the function that dropped',
		feature: 'drop-reasons',
		see: async ({ web, peer }: Lab) => (await web.udp(peer, 53, { listen: false })).out[0]!.hops.at(-1)!.hop,
		with: 'drop NO_SOCKET',
		without: 'drop __udp6_lib_rcv',
	},
] as const;

describe('what differs between kernels', () => {
	for (const { title, feature, see, ...words } of DIFFERENCES)
		test(title, async ({ lab, requires }) => {
			await requires('veth');
			const veth = await lab({ device: 'veth', forward: 'redirect' });
			const { [feature]: found } = await askFeatures(veth.vm, [feature]);
			expect(await see(veth)).toBe(words[found!.has ? 'with' : 'without']);
		});
});
