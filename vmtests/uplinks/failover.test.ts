import { describe, expect, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import { turn } from '../support/turns.ts';
import { beyond, inHost, PAIRS, type Wired } from './two-wires.ts';

/** By routes alone: web prefers eth0 and has eth1 too. */
const WIRED: readonly Wired[] = [
	{
		title: 'veth, fib',
		needs: ['veth'],
		// the same lab as of choice.test.ts
		lab: {
			device: 'veth',
			forward: 'fib',
			containers: { web: { uplinks: ['eth0', 'eth1'] }, api: { uplinks: ['eth1'], forward: 'redirect' } },
		},
	},
	...PAIRS.flatMap((device) =>
		(['stack', 'fib'] as const).map(
			(forward): Wired => ({
				title: `${device}, ${forward}`,
				needs: DEVICE_NEEDS[device],
				lab: {
					device,
					forward,
					containers: { web: { uplinks: ['eth0', 'eth1'] }, api: { uplinks: ['eth1'] } },
				},
			}),
		),
	),
];

const BY_ETH0 = path`web:eth0 xmit, …, host:eth0 xmit, peer:eth0 receive, peer udp deliver`;
const BY_ETH1 = path`web:eth0 xmit, …, host:eth1 xmit, peer:eth1 receive, peer udp deliver`;

/** What the host's own network configuration does when a device is up again: IPv6 addresses go when it is set down, and neighbours. */
const UP_AGAIN = [
	'ip link set dev eth0 up',
	'ip addr replace 2001:db8:0:1::1/64 dev eth0 nodad',
	'ip neigh replace 2001:db8:0:1::2 lladdr 02:00:5e:00:53:02 dev eth0 nud permanent',
	'ip neigh replace 192.0.2.2 lladdr 02:00:5e:00:53:02 dev eth0 nud permanent',
];

/** What a routing protocol would tell the peer. */
const BACK_BY_ETH1 = `ip route replace 2001:db8:0:2::10 via 2001:db8:0:3::1
ip route replace 198.51.100.10 via 203.0.113.1`;

function failingOver({ needs, lab: wired }: Wired): void {
	test(
		'an uplink that is set down is left for the next, until it and its routes are back',
		turn(0, ...needs),
		async ({ lab, requires }) => {
			await requires(...needs);
			const made = await lab(wired);
			const far = beyond(made);
			const net = made.vm.use<typeof import('../../impl/net.ts')>('impl/net.ts');
			expect(await made.web.udp(far, 53)).toFollowPath(BY_ETH0);

			await inHost(made, 'ip link set dev eth0 down');
			expect(await made.web.udp(far, 53)).toFollowPath(BY_ETH1);
			expect(await made.web.udp(far, 53, { family: 4 })).toFollowPath(BY_ETH1);

			expect((await net.checkHost()).map(({ what, found }) => [what, found])).toEqual([['its uplink eth0', 'down']]);

			// the kernel forgets the routes of a device that is set down, and has none of them when it is up again
			await inHost(made, ...UP_AGAIN);
			expect(await made.web.udp(far, 53)).toFollowPath(BY_ETH1);
			const found = await net.checkHost();
			expect(found).toEqual([
				{
					container: null,
					what: 'the routes by uplinks',
					expected: expect.stringMatching(
						/^::\/0 via 2001:db8:0:1::2 dev eth0 table \d+, 0.0.0.0\/0 via 192.0.2.2 dev eth0 table \d+$/,
					),
					found: 'no such routes',
					hint: 'pathproof net gc',
				},
			]);

			await net.collectGarbage();
			expect(await net.checkHost()).toEqual([]);
			expect(await made.web.udp(far, 53)).toFollowPath(BY_ETH0);
			expect(await made.web.udp(far, 53, { family: 4 })).toFollowPath(BY_ETH0);
		},
	);

	test(
		'an uplink without carrier is left for the next, and taken again with its carrier',
		turn(1, ...needs),
		async ({ lab, requires }) => {
			await requires(...needs);
			const made = await lab(wired);
			const far = beyond(made);
			await made.peer.exec(['ip', 'link', 'set', 'dev', 'eth0', 'down']);
			expect(await made.web.udp(far, 53)).toFollowPath(BY_ETH1);
			expect(await made.web.udp(far, 53, { family: 4 })).toFollowPath(BY_ETH1);
			await made.peer.exec(['ip', 'link', 'set', 'dev', 'eth0', 'up']);
			// carrier is told some time later
			await inHost(made, 'until ip link show dev eth0 | grep -q LOWER_UP; do :; done');
			expect(await made.web.udp(far, 53)).toFollowPath(BY_ETH0);
			expect(await made.web.udp(far, 53, { family: 4 })).toFollowPath(BY_ETH0);
		},
	);

	test('where the kernel is not told to leave it, what is sent by it is lost', { tags: [FULL] }, async ({
		lab,
		requires,
	}) => {
		await requires(...needs);
		const made = await lab(wired);
		await inHost(made, ...SWITCHES.map((name) => `sysctl -qw ${name}=0`));
		await made.peer.exec(['ip', 'link', 'set', 'dev', 'eth0', 'down']);
		for (const family of [6, 4] as const) {
			const trace = await made.web.udp(beyond(made), 53, { family, listen: false });
			expect(trace.out).toMatchObject([{ fate: 'dropped' }]);
			expect(trace).not.toTraverse('host:eth1 xmit');
		}
	});

	test(
		'the uplinks are told once, and put back when the last container that needs it goes',
		turn(2, ...needs),
		async ({ lab, requires }) => {
			await requires(...needs);
			const made = await lab(wired);
			const asked = () => inHost(made, `sysctl -n ${SWITCHES.join(' ')}`);
			expect(await asked()).toBe('1\n1\n1\n1\n');
			await made.vm.use<typeof import('../../impl/net.ts')>('impl/net.ts').removeContainer('web');
			expect(await asked()).toBe('0\n0\n0\n0\n');
		},
	);

	test('a TCP connection outlives its uplink', turn(3, ...needs), async ({ lab, requires }) => {
		await requires(...needs);
		const made = await lab(wired);
		const { web, peer } = made;
		const far = beyond(made);
		const flows = await Promise.all(
			([6, 4] as const).map(async (family) => {
				// takes one connection: a second one would not be heard
				const echo = await peer.spawn(['socat', '-dd', `TCP${family}-LISTEN:${7000 + family}`, 'EXEC:cat']);
				await echo.waitFor(/listening on/);
				return web.spawn(['socat', '-', `TCP${family}:${far.literal(family)}:${7000 + family}`], { keepInput: true });
			}),
		);
		const say = async (word: string) => {
			for (const flow of flows) await flow.write(`${word}\n`);
		};
		await say('before');
		for (const flow of flows) await flow.waitFor(/before/);
		await inHost(made, 'ip link set dev eth0 down');
		await say('during');
		await peer.exec(['sh', '-ec', BACK_BY_ETH1]);
		for (const flow of flows) await flow.waitFor(/during/, 60_000);
	});
}

const SWITCHES = ['eth0', 'eth1'].flatMap((device) =>
	[6, 4].map((family) => `net.ipv${family}.conf.${device}.ignore_routes_with_linkdown`),
);
const TITLE = 'failover: $title';
describe.for(WIRED.slice(0, 1))(TITLE, failingOver);
describe.for(WIRED.slice(1))(TITLE, { tags: [FULL] }, failingOver);
