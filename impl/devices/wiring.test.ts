import { expect, test } from 'vitest';
import { neighbourCommand } from '../ip/neighbour.ts';
import { PAIRS } from './device.ts';
import { devicePair, hostCommands, hostNeighbours, innerCommands } from './wiring.ts';

const addresses = { ipv6: '2001:db8:0:2::10', ipv4: '198.51.100.10' };
const pair = devicePair('web', 'web', 1500);
const commands = (device: keyof typeof PAIRS) => ({
	create: PAIRS[device].create(pair),
	host: hostCommands(addresses, PAIRS[device], pair),
	neighbours: hostNeighbours(addresses, PAIRS[device], pair).map(neighbourCommand),
	inner: innerCommands(addresses, PAIRS[device], pair),
});

test('a veth pair has neighbours set by hand on both sides', () => {
	expect(commands('veth')).toMatchInlineSnapshot(`
		{
		  "create": [
		    "link add name web address 02:f6:33:49:44:73 mtu 1500 type veth peer name eth0 address 02:56:78:5d:1a:2f mtu 1500 netns web",
		  ],
		  "host": [
		    "link set dev web addrgenmode none up",
		    "addr add fe80::1/64 dev web nodad",
		    "route add 2001:db8:0:2::10/128 dev web",
		    "route add 198.51.100.10/32 dev web",
		  ],
		  "inner": [
		    "link set dev lo up",
		    "link set dev eth0 addrgenmode none up",
		    "addr add 2001:db8:0:2::10/128 dev eth0 nodad",
		    "addr add 198.51.100.10/32 dev eth0",
		    "neigh add fe80::1 lladdr 02:f6:33:49:44:73 dev eth0 nud permanent",
		    "route add ::/0 via fe80::1 dev eth0",
		    "route add 0.0.0.0/0 via inet6 fe80::1 dev eth0",
		  ],
		  "neighbours": [
		    "neigh add 2001:db8:0:2::10 lladdr 02:56:78:5d:1a:2f dev web nud permanent",
		    "neigh add 198.51.100.10 lladdr 02:56:78:5d:1a:2f dev web nud permanent",
		  ],
		}
	`);
});

test('netkit L3 has no Ethernet: routes by the device, no neighbours, and is born closed', () => {
	expect(commands('netkit-l3')).toMatchInlineSnapshot(`
		{
		  "create": [
		    "link add name web mtu 1500 type netkit mode l3 blackhole peer blackhole name eth0 mtu 1500 netns web",
		  ],
		  "host": [
		    "link set dev web addrgenmode none up",
		    "route add 2001:db8:0:2::10/128 dev web",
		    "route add 198.51.100.10/32 dev web",
		  ],
		  "inner": [
		    "link set dev lo up",
		    "link set dev eth0 addrgenmode none up",
		    "addr add 2001:db8:0:2::10/128 dev eth0 nodad",
		    "addr add 198.51.100.10/32 dev eth0",
		    "route add ::/0 dev eth0",
		    "route add 0.0.0.0/0 dev eth0",
		  ],
		  "neighbours": [],
		}
	`);
});

test('netkit is opened once its programs are there; veth has nothing to open', () => {
	expect(PAIRS['netkit-l2'].open(pair)).toEqual(['link set dev web type netkit forward peer forward']);
	expect(PAIRS.veth.open(pair)).toEqual([]);
});

test('a MAC is of the name, and never a multicast one', () => {
	expect(devicePair('web', 'web', 1500)).toEqual(pair);
	expect(devicePair('api', 'api', 1500).hostMac).not.toBe(pair.hostMac);
	expect(pair.hostMac).toMatch(/^02(:[0-9a-f]{2}){5}$/);
});

test('a container without IPv4 has no route for it, inside or outside', () => {
	const alone = { ipv6: addresses.ipv6, ipv4: null };
	const all = [...hostCommands(alone, PAIRS.veth, pair), ...innerCommands(alone, PAIRS.veth, pair)];
	expect(all.filter((command) => /\d+\.\d+\.\d+/.test(command))).toEqual([]);
});
