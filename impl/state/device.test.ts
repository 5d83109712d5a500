import { expect, test } from 'vitest';
import { type ContainerRequest, containerSpec } from '../container.ts';
import type { Lack } from './check.ts';
import { checkForeign, checkSettings } from './device.ts';
import type { Link } from './host.ts';

const container = (device: ContainerRequest['device'], forward: ContainerRequest['forward']) =>
	containerSpec({
		...{ name: 'web', device, forward, uplinks: [{ device: 'eth0' }] },
		...{ ipv6: '2001:db8:0:2::10', ipv4: '198.51.100.10' },
	});
const lack: Lack = (what, expected, found, hint = 'remake') => ({ container: 'web', what, expected, found, hint });
const link = (info_data: NonNullable<Link['linkinfo']>['info_data'], addresses: string[] = []): Link => ({
	...{ ifindex: 7, ifname: 'web', flags: ['UP'], mtu: 1500 },
	addr_info: addresses.map((one) => ({ local: one.split('/')[0]!, prefixlen: Number(one.split('/')[1]) })),
	...(info_data && { linkinfo: { info_data } }),
});

test('the policy of a netkit is told of on both sides, and what opens it', () => {
	const netkit = container('netkit-l3', 'redirect');
	const settings = { mode: 'l3', type: 'primary', policy: 'forward', peer_policy: 'forward' };
	expect(checkSettings(netkit, link(settings), null, lack)).toEqual([]);
	expect(checkSettings(netkit, link({ ...settings, peer_policy: 'blackhole' }), null, lack)).toEqual([
		{
			container: 'web',
			what: 'the setting peer_policy of web',
			expected: 'forward',
			found: 'blackhole',
			hint: 'ip link set dev web type netkit forward peer forward',
		},
	]);
	expect(checkSettings(netkit, link({ ...settings, policy: 'blackhole' }), null, lack).map(({ what }) => what)).toEqual(
		['the setting policy of web'],
	);
});

test('of a veth there is nothing to set', () => {
	expect(checkSettings(container('veth', 'redirect'), link(undefined), link(undefined), lack)).toEqual([]);
});

test('the mode of a slave and whether it is private are those that it was made with', () => {
	const slave = container('ipvlan-l2', 'native');
	expect(checkSettings(slave, null, link({ mode: 'l2', private: true }), lack)).toEqual([]);
	const hint = 'ip -n web link set dev eth0 type ipvlan mode l2 private';
	const found = (settings: Parameters<typeof link>[0]) =>
		checkSettings(slave, null, link(settings), lack).map((one) => [one.what, one.expected, one.found, one.hint]);
	expect(found({ mode: 'l3', bridge: true })).toEqual([
		['the setting mode of eth0 in its netns', 'l2', 'l3', hint],
		['the setting private of eth0 in its netns', 'true', 'not set', hint],
	]);
	expect(found({ mode: 'l2', vepa: true })).toEqual([
		['the setting private of eth0 in its netns', 'true', 'not set', hint],
	]);
});

test('in layer 3 an address that its owner has taken beside its own is told of: others do not reach it', () => {
	const addresses = ['2001:db8:0:2::10/128', '198.51.100.10/32', '2001:db8:5::1/64', '203.0.113.1/32', 'fe80::7/64'];
	const foreign = (device: ContainerRequest['device']) =>
		checkForeign(container(device, 'native'), link(undefined, addresses), lack);
	expect(foreign('ipvlan-l3')).toEqual([
		{
			container: 'web',
			what: '2001:db8:5::1 on eth0 in its netns',
			expected: 'its own addresses alone: the other slaves of eth0 do not reach this one',
			found: '2001:db8:5::1/64',
			hint: 'ip -n web addr del 2001:db8:5::1/64 dev eth0',
		},
		{
			container: 'web',
			what: '203.0.113.1 on eth0 in its netns',
			expected: 'its own addresses alone: the other slaves of eth0 do not reach this one',
			found: '203.0.113.1/32',
			hint: 'ip -n web addr del 203.0.113.1/32 dev eth0',
		},
	]);
	expect(foreign('ipvlan-l3s')).toHaveLength(2);
	// there a frame goes by its MAC address, and leaves
	expect(foreign('ipvlan-l2')).toEqual([]);
});
