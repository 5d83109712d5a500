import { expect, test } from 'pathproof';
import { WIRES } from '../../kernels/wire.ts';
import { request, scene } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { buildFrame, icmp } from '../support/frames.ts';
import { openSender } from '../support/sender.ts';

/** By the device that hears them: the uplink, and one that no container has. */
const ROUTERS = { eth0: 'fe80::77', mgmt: 'fe80::78' } as const;

/** RFC 4861, 4.2: I am a router, for half an hour. */
function advertisement(source: string): Buffer {
	const body = Buffer.alloc(12);
	body.writeUInt8(64, 0);
	body.writeUInt16BE(1800, 2);
	return buildFrame({
		from: WIRES[0].peer,
		to: '33:33:00:00:00:01',
		payload: { source, destination: 'ff02::1', hops: 255, transport: icmp(6, 134, 0, body) },
	});
}

test.for(['stack', 'fib'] as const)(
	'a host that has default routes from routers keeps each when %s begins to forward, and when it ends',
	{ tags: [FULL] },
	async (forward, { lab, requires }) => {
		await requires('veth');
		const { lab: made, net } = await scene(lab);
		const { host, peer } = made;
		await host.exec(['ip', 'link', 'add', 'mgmt', 'type', 'veth', 'peer', 'name', 'mgmt', 'netns', 'peer']);
		for (const end of [host, peer]) await end.exec(['ip', 'link', 'set', 'mgmt', 'up']);
		const learnt = Object.entries(ROUTERS).map(([device, router]) => `default via ${router} dev ${device}`);
		const known = async () => {
			const { stdout } = await host.exec(['ip', '-6', 'route', 'show', 'proto', 'ra']);
			return learnt.filter((route) => stdout.includes(route));
		};
		const hearing = Object.keys(ROUTERS).map((device) => `net.ipv6.conf.${device}.accept_ra`);
		await host.exec(['sysctl', '-qw', ...hearing.map((name) => `${name}=1`)]);
		const routers = await Promise.all(
			Object.entries(ROUTERS).map(async ([device, router]) => ({ router, wire: await openSender(peer, { device }) })),
		);
		// a device that has just come up hears nothing yet
		const advertised = async () => {
			for (const { router, wire } of routers) await wire.send([advertisement(router)]);
			return known();
		};
		await expect.poll(advertised, { timeout: 30_000, interval: 500 }).toEqual(learnt);
		await net.addContainer(request('web', { device: 'veth', forward }));
		expect(await known()).toEqual(learnt);
		await net.addContainer(request('api', { device: 'veth', forward: forward === 'fib' ? 'stack' : 'fib' }));
		expect(await known()).toEqual(learnt);
		for (const name of ['api', 'web']) {
			await net.removeContainer(name);
			expect(await known(), name).toEqual(learnt);
		}
		expect((await host.exec(['sysctl', '-n', ...hearing])).stdout).toBe('1\n1\n');
	},
);
