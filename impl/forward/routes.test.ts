import { expect, test } from 'vitest';
import { containerSpec } from '../container.ts';
import { containerRules, isSharedRule, replaceRoute, tableOf, uplinkRoutes } from './routes.ts';

const index = (device: string) => ({ eth0: 2, eth1: 3 })[device]!;
const web = containerSpec({
	name: 'web',
	device: 'veth',
	forward: 'fib',
	ipv6: '2001:db8:0:2::10',
	ipv4: '198.51.100.10',
	uplinks: [
		{ device: 'eth1', ipv6NextHop: '2001:db8:0:3::2' },
		{ device: 'eth0', ipv6NextHop: '2001:db8:0:1::2', ipv4NextHop: '192.0.2.2' },
	],
});

const [eth1, eth0, eth0v4] = [tableOf(3, '2001:db8:0:3::2'), tableOf(2, '2001:db8:0:1::2'), tableOf(2, '192.0.2.2')];

test('a next hop beyond an uplink has a table with one route', () => {
	expect(uplinkRoutes(web, index).map(replaceRoute)).toEqual([
		`route replace ::/0 via 2001:db8:0:3::2 dev eth1 table ${eth1}`,
		`route replace ::/0 via 2001:db8:0:1::2 dev eth0 table ${eth0}`,
		`route replace 0.0.0.0/0 via 192.0.2.2 dev eth0 table ${eth0v4}`,
	]);
});

test('another next hop beyond the same uplink has another table, the same has the same', () => {
	expect(tableOf(2, '2001:db8:0:1::2')).toBe(179_635_417);
	expect(tableOf(2, '2001:db8:0:1::3')).not.toBe(eth0);
	expect(tableOf(3, '2001:db8:0:1::2')).not.toBe(eth0);
});

test('a container asks its uplinks in the order that it named them in, and then nobody', () => {
	expect(containerRules(web, index)).toEqual([
		{
			family: '-6',
			rules: [
				`pref 1001 from 2001:db8:0:2::10/128 lookup ${eth1}`,
				`pref 1002 from 2001:db8:0:2::10/128 lookup ${eth0}`,
				'pref 1009 from 2001:db8:0:2::10/128 unreachable',
			],
		},
		{
			family: '-4',
			rules: [`pref 1001 from 198.51.100.10/32 lookup ${eth0v4}`, 'pref 1009 from 198.51.100.10/32 unreachable'],
		},
	]);
});

test("without a next hop the host's own routes decide, and no rule is made", () => {
	const spec = { ...web, uplinks: [{ device: 'eth0' }] };
	expect(uplinkRoutes(spec, index)).toEqual([]);
	expect(containerRules(spec, index)).toEqual([]);
});

test("a rule of somebody else's is not taken for the one that all containers share, whatever its priority", () => {
	expect(isSharedRule({ priority: 1000, table: 'main', suppress_prefixlen: 0 })).toBe(true);
	expect(isSharedRule({ priority: 1000, table: '42' })).toBe(false);
	expect(isSharedRule({ priority: 1001, table: 'main', suppress_prefixlen: 0 })).toBe(false);
});
