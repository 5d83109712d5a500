/** Two routers beyond one uplink: each container keeps its own. */
import { describe, expect, type Lab, test } from 'pathproof';
import type { ContainerRequest } from '../../impl/container.ts';
import { captured } from '../support/capture.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

const GUEST_NET = 'impl/net.ts';
const FAR = ['2001:db8:0:f::1', '198.18.0.1'] as const;

/** By its last digit: of the router's addresses and MAC. */
function container(name: 'web' | 'api', forward: 'redirect' | 'fib' | 'stack', router: 2 | 3): ContainerRequest {
	const number = name === 'web' ? 10 : 11;
	return {
		name,
		device: 'veth',
		forward,
		ipv6: `2001:db8:0:2::${number}`,
		ipv4: `198.51.100.${number}`,
		uplinks: [{ device: 'eth0', ipv6NextHop: `2001:db8:0:1::${router}`, ipv4NextHop: `192.0.2.${router}` }],
	};
}

/** `192.0.2.10 by 2`: the source of each frame that came out of the wire, and the router that it was for. */
async function routersAsked({ vm, peer }: Lab, by: readonly string[]): Promise<string[]> {
	const printed = await captured(peer, '-i eth0 -e --direction in icmp or icmp6', async () => {
		for (const netns of by) for (const to of FAR) await vm.exec(['ping', '-c1', '-W1', to], { netns, reject: false });
	});
	return Array.from(
		printed.matchAll(/ > 02:00:5e:00:53:0(\d), .*?: (\S+) > \S+ ICMP6?,? echo request/g),
		([, router, source]) => `${source} by ${router}`,
	);
}

const BOTH = ['2001:db8:0:2::10 by 2', '198.51.100.10 by 2', '2001:db8:0:2::11 by 3', '198.51.100.11 by 3'];

describe.for([
	{ forward: 'redirect' as const, when: turn(0) },
	{ forward: 'fib' as const, when: turn(1) },
	{ forward: 'stack' as const, when: { tags: [FULL] } },
])('by $forward', ({ forward, when }) => {
	test('a container keeps its router when another on the same uplink is added with its own', when, async ({ lab }) => {
		const made = await lab({ containers: {}, tracer: false });
		const net = made.vm.use<typeof import('../../impl/net.ts')>(GUEST_NET);
		for (const address of ['2001:db8:0:1::3', '192.0.2.3'])
			await made.vm.exec([
				...['ip', 'neigh', 'add', address, 'lladdr', '02:00:5e:00:53:03'],
				...['dev', 'eth0', 'nud', 'permanent'],
			]);
		await net.addContainer(container('web', forward, 2));
		await net.addContainer(container('api', forward, 3));
		expect(await routersAsked(made, ['web', 'api'])).toEqual(BOTH);
		expect(await net.checkHost()).toEqual([]);
		await net.removeContainer('api');
		expect(await routersAsked(made, ['web'])).toEqual(BOTH.slice(0, 2));
		expect(await net.checkHost()).toEqual([]);
	});
});
