import { DUPLICATES, describe, expect, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

/** By device: what a packet meets on its way from the container to the host's end of it. */
const DEVICES = [
	{
		device: 'veth',
		needs: 'veth',
		crossing: 'host backlog, host:web receive, host:web ingress[egress_neigh → redirect]',
		inSenderContext: false,
	},
	{
		device: 'netkit-l3',
		needs: 'netkit',
		crossing: 'host:web ingress[netkit egress_neigh → redirect]',
		inSenderContext: true,
	},
	{
		device: 'netkit-l2',
		needs: 'netkit',
		crossing: 'host:web ingress[netkit egress_neigh → redirect]',
		inSenderContext: true,
	},
] as const;

const IN = 'peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[ingress_peer → redirect], web:eth0 receive';

function redirected({ device, needs, crossing, inSenderContext }: (typeof DEVICES)[number]): void {
	const out = `web:eth0 xmit, ${crossing}, host:eth0 xmit, peer:eth0 receive`;

	test('sends past the IP stack of its host, IPv6 and IPv4', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const six = await web.udp(peer, 53);
		expect(six).toFollowPath(path`${out}, peer udp deliver`);
		expect(six).not.toTraverse('ip6_forward');
		const four = await web.udp(peer, 53, { family: 4 });
		expect(four).toFollowPath(path`${out}, peer udp deliver`);
		expect(four).not.toTraverse('ip_forward');
		expect(four).toTakeHops({ forward: 0, backlog: inSenderContext ? 0 : 1 });
	});

	test('is sent past it as well, straight into its netns', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const six = await peer.udp(web, 53);
		expect(six).toFollowPath(path`${IN}, web udp deliver`);
		expect(six).toTakeHops({ forward: 0, backlog: 0 });
		expect(await peer.udp(web, 53, { family: 4 })).toFollowPath(path`${IN}, web udp deliver`);
	});

	test('keeps its socket on the packet until the uplink sends it', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const trace = await web.udp(peer, 53);
		expect(trace.at('host:eth0 xmit')).toKeepSocket();
		if (inSenderContext) expect(trace.at('host:eth0 xmit')).toStayInContextOfSender();
		else expect(trace.at('host:eth0 xmit')).not.toStayInContextOfSender();
	});

	test('speaks TCP the same way, from handshake to farewell, and in bulk', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const trace = await web.curl(peer);
		expect(trace.out).toFollowPath(path`${out}, peer tcp deliver`, { ignoring: DUPLICATES });
		expect(trace.in).toFollowPath(path`${IN}, web tcp deliver`, { ignoring: DUPLICATES });
		expect(trace.out[0]!.packet).toMatchObject({ detail: 'SYN', destinationPort: 80 });
		expect(trace.out.at(-1)!.packet.detail).toMatch(/ACK/);
		expect(await web.iperf3(peer, { megabytes: 2 })).toMatchObject({ bytes: 2 * 2 ** 20 });
	});

	test('falls back to the IP stack once its program is detached', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer, detach } = await lab({ device, forward: 'redirect' });
		expect(await web.udp(peer, 53)).not.toTraverse('host ip6 receive');
		await detach('egress_neigh');
		const trace = await web.udp(peer, 53, { listen: false });
		expect(trace).toTraverse('host ip6 receive');
		expect(trace).not.toTraverse('host:web ingress[egress_neigh]');
	});
}

const TITLE = 'a container on $device, redirected';
describe.for(DEVICES.filter(({ device }) => device === 'veth'))(TITLE, redirected);
describe.for(DEVICES.filter(({ device }) => device === 'netkit-l3'))(TITLE, turn(0, 'netkit'), redirected);
// Its ways are those of netkit-l3.
describe.for(DEVICES.filter(({ device }) => device === 'netkit-l2'))(TITLE, { tags: [FULL] }, redirected);
