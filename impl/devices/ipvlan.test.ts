import { spawnSync } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { createSlave, moveSlave, slaveCommands, slaveIdIn } from './ipvlan.ts';

const web = {
	name: 'web',
	ipv6: '2001:db8:0:2::10',
	ipv4: null,
	uplinks: [{ device: 'eth0', ipv6NextHop: '2001:db8:0:1::2' }],
};

test("a slave is made in the host's netns, private, and becomes eth0 as it moves", () => {
	expect(createSlave(web, 'ipvlan-l3s')).toBe('link add link eth0 name web type ipvlan mode l3s private');
	expect(moveSlave('web', 'web')).toBe('link set dev web netns web name eth0');
});

test('in L2 mode a container goes by the next hop, in L3 by the device: the host has the routes', () => {
	expect(slaveCommands(web, 'ipvlan-l2')).toEqual([
		'link set dev lo up',
		'link set dev eth0 addrgenmode none up',
		'addr add 2001:db8:0:2::10/128 dev eth0 nodad',
		'route add 2001:db8:0:1::2/128 dev eth0',
		'route add ::/0 via 2001:db8:0:1::2 dev eth0',
	]);
	expect(slaveCommands(web, 'ipvlan-l3')).toEqual([
		'link set dev lo up',
		'link set dev eth0 addrgenmode none up',
		'addr add 2001:db8:0:2::10/128 dev eth0 nodad',
		'route add ::/0 dev eth0',
	]);
});

test('in L2 mode a next hop has to be told', () => {
	expect(() => slaveCommands({ ...web, uplinks: [{ device: 'eth0' }] }, 'ipvlan-l2')).toThrow(
		'ipvlan-l2 has to be told the next hop beyond eth0',
	);
});

test('the number of a device is asked for in the netns where it is, on this machine as root', async () => {
	const netns = `slave${process.pid}`;
	const ip = (...words: string[]) => expect(spawnSync('ip', words, { encoding: 'utf8' }).stderr).toBe('');
	ip('netns', 'add', netns);
	onTestFinished(() => ip('netns', 'del', netns));
	// whether this machine has an eth0 of its own or not
	expect(await slaveIdIn(netns)).toBeNull();
	ip('-n', netns, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'wire');
	// of what is no slave
	expect(await slaveIdIn(netns)).toBe(0);
});
