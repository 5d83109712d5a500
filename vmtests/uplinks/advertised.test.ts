import { expect, test } from 'pathproof';
import { WIRES } from '../../kernels/wire.ts';
import { request, scene } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { buildFrame, icmp } from '../support/frames.ts';
import { openSender } from '../support/sender.ts';

const ROUTER = 'fe80::77';

/** RFC 4861, 4.2: I am a router, for half an hour. */
function advertisement(): Buffer {
	const body = Buffer.alloc(12);
	body.writeUInt8(64, 0);
	body.writeUInt16BE(1800, 2);
	return buildFrame({
		from: WIRES[0].peer,
		to: '33:33:00:00:00:01',
		payload: { source: ROUTER, destination: 'ff02::1', hops: 255, transport: icmp(6, 134, 0, body) },
	});
}

test('a host that has its default route from a router keeps it when it begins to forward, and when it ends', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('veth');
	const { lab: made, net } = await scene(lab);
	const { host, peer } = made;
	await host.exec(['sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=1']);
	await (await openSender(peer, { device: 'eth0' })).send([advertisement()]);
	const learnt = async () => (await host.exec(['ip', '-6', 'route', 'show', 'proto', 'ra'])).stdout;
	await expect.poll(learnt).toContain(`default via ${ROUTER} dev eth0`);
	await net.addContainer(request('web', { device: 'veth', forward: 'stack' }));
	expect(await learnt()).toContain(`default via ${ROUTER} dev eth0`);
	await net.removeContainer('web');
	expect(await learnt()).toContain(`default via ${ROUTER} dev eth0`);
	expect((await host.exec(['sysctl', '-n', 'net.ipv6.conf.eth0.accept_ra'])).stdout).toBe('1\n');
});
