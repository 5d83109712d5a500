import { describe, expect, path, test } from 'pathproof';

/** By device: what a packet meets on its way from the container to the host's end of it. */
const DEVICES = [
	{
		device: 'veth',
		crossing: 'host backlog, host:web receive, host:web ingress[egress_neigh → redirect]',
		inSenderContext: false,
	},
	{ device: 'netkit-l3', crossing: 'host:web ingress[netkit egress_neigh → redirect]', inSenderContext: true },
	{ device: 'netkit-l2', crossing: 'host:web ingress[netkit egress_neigh → redirect]', inSenderContext: true },
] as const;

const feature = { veth: 'veth', 'netkit-l3': 'netkit', 'netkit-l2': 'netkit' } as const;

describe.for(DEVICES)('a container on $device, redirected', ({ device, crossing, inSenderContext }) => {
	test.for([6, 4] as const)('sends IPv%i past the IP stack of its host', async (family, { lab, requires }) => {
		await requires(feature[device]);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const trace = await web.udp(peer, 53, { family });
		expect(trace).toFollowPath(path`web:eth0 xmit, ${crossing}, host:eth0 xmit, peer:eth0 receive, peer udp deliver`);
		expect(trace).not.toTraverse(family === 6 ? 'ip6_forward' : 'ip_forward');
		expect(trace).toTakeHops({ forward: 0, backlog: inSenderContext ? 0 : 1 });
	});

	test.for([6, 4] as const)(
		'is sent IPv%i past it as well, straight into its netns',
		async (family, { lab, requires }) => {
			await requires(feature[device]);
			const { web, peer } = await lab({ device, forward: 'redirect' });
			const trace = await peer.udp(web, 53, { family });
			expect(trace).toFollowPath(
				path`peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[ingress_peer → redirect], web:eth0 receive, web udp deliver`,
			);
			expect(trace).toTakeHops({ forward: 0, backlog: 0 });
		},
	);

	test('keeps its socket on the packet until the uplink sends it', async ({ lab, requires }) => {
		await requires(feature[device]);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const trace = await web.udp(peer, 53);
		expect(trace.at('host:eth0 xmit')).toKeepSocket();
		if (inSenderContext) expect(trace.at('host:eth0 xmit')).toStayInContextOfSender();
		else expect(trace.at('host:eth0 xmit')).not.toStayInContextOfSender();
	});

	test('speaks TCP the same way: handshake, request, answer, farewell', async ({ lab, requires }) => {
		await requires(feature[device]);
		const { web, peer } = await lab({ device, forward: 'redirect' });
		const trace = await web.curl(peer);
		expect(trace.out).toFollowPath(
			path`web:eth0 xmit, ${crossing}, host:eth0 xmit, peer:eth0 receive, peer tcp deliver`,
		);
		expect(trace.in).toFollowPath(
			path`peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[ingress_peer → redirect], web:eth0 receive, web tcp deliver`,
		);
		expect(trace.out[0]!.packet).toMatchObject({ detail: 'SYN', destinationPort: 80 });
	});

	test('falls back to the IP stack once its program is detached', async ({ lab, requires }) => {
		await requires(feature[device]);
		const { web, peer, detach } = await lab({ device, forward: 'redirect' });
		expect(await web.udp(peer, 53)).not.toTraverse('host ip6 receive');
		await detach('egress_neigh');
		const trace = await web.udp(peer, 53, { listen: false });
		expect(trace).toTraverse('host ip6 receive');
		expect(trace).not.toTraverse('host:web ingress[egress_neigh]');
	});
});
