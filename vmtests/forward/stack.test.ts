import { describe, expect, path, test } from 'pathproof';
import { turn } from '../support/turns.ts';

const DEVICES = [
	{
		device: 'veth',
		needs: 'veth',
		crossing: 'host backlog, host:web receive, host:web ingress[egress_guard → pass]',
	},
	{
		device: 'netkit-l3',
		needs: 'netkit',
		crossing: 'host:web ingress[netkit egress_guard → pass], host backlog, host:web receive',
	},
] as const;

function forwarded({ device, needs, crossing }: (typeof DEVICES)[number]): void {
	test('sends through the whole IP stack of its host, once it is judged', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'stack' });
		const trace = await web.udp(peer, 53);
		expect(trace).toFollowPath(
			path`web:eth0 xmit, ${crossing}, host ip6 receive, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver`,
		);
		expect(trace).toTraverse('ip6_forward');
	});

	test('is sent through it too, and through a backlog of its own', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'stack' });
		const trace = await peer.udp(web, 53);
		expect(trace).toFollowPath(
			path`peer:eth0 xmit, host:eth0 receive, host ip6 receive, host ip6 forward, host:web xmit, web backlog, web:eth0 receive, web udp deliver`,
		);
	});

	// ip6_rcv_core orphans every packet (skb_orphan): behind it nobody knows whose it is
	test('loses its socket to the IP stack of its host, and the context of its sender', async ({ lab, requires }) => {
		await requires(needs);
		const { web, peer } = await lab({ device, forward: 'stack' });
		const trace = await web.udp(peer, 53);
		expect(trace.at('web:eth0 xmit')).toKeepSocket();
		expect(trace.at('web:eth0 xmit')).toStayInContextOfSender();
		expect(trace.at('host ip6 receive')).toKeepSocket();
		expect(trace.at('host ip6 forward')).not.toKeepSocket();
		expect(trace.at('host:eth0 xmit')).not.toKeepSocket();
		expect(trace.at('host:eth0 xmit')).not.toStayInContextOfSender();
	});
}

const TITLE = 'a container on $device, forwarded';
describe.for(DEVICES.slice(0, 1))(TITLE, forwarded);
describe.for(DEVICES.slice(1))(TITLE, turn(1, 'netkit'), forwarded);

test('a datagram for which nobody listens is dropped at the peer, and the trace says why', async ({ lab }) => {
	const { web, peer } = await lab();
	const [packet] = (await web.udp(peer, 53, { listen: false })).out;
	expect(packet).toMatchObject({ delivered: false });
	expect(packet!.hops.at(-1)!.hop).toMatch(/^drop (?:NO_SOCKET|__?udp\w+)$/);
});
