import { expect, test } from 'vitest';
import { type ContainerRequest, containerSpec, DEVICES, FORWARDS, FORWARDS_OF } from './container.ts';

const web: ContainerRequest = {
	name: 'web',
	device: 'veth',
	forward: 'redirect',
	uplinks: [{ device: 'eth0' }],
	ipv6: '2001:db8:0:2::10',
};

test('a container is of a tenant of its own, judged, and in a netns of its own name, unless it is asked otherwise', () => {
	expect(containerSpec(web)).toEqual({
		name: 'web',
		device: 'veth',
		forward: 'redirect',
		uplinks: [{ device: 'eth0' }],
		ipv6: '2001:db8:0:2::10',
		ipv4: null,
		tenant: 'web',
		allow: [],
		guard: true,
		netns: null,
	});
});

test('every device has a way of forwarding, and every way a device', () => {
	for (const device of DEVICES) expect(FORWARDS_OF[device]).not.toEqual([]);
	for (const forward of FORWARDS) expect(Object.values(FORWARDS_OF).flat()).toContain(forward);
});

const WRONG: [string, Partial<ContainerRequest>, string][] = [
	[
		'a name that no device can have',
		{ name: 'a-name-of-16-cha' },
		'"a-name-of-16-cha" cannot be the name of a container',
	],
	['a name that is a path', { name: '../web' }, '"../web" cannot be the name of a container'],
	['a tenant without a name', { tenant: '' }, '"" cannot be the name of a tenant'],
	['a device that there is not', { device: 'macvlan' as 'veth' }, '"macvlan" is no device'],
	['a way that its device has not', { device: 'ipvlan-l2' }, 'ipvlan-l2 has no forward redirect'],
	['an address with a prefix length', { ipv6: '2001:db8::1/64' }, '2001:db8::1/64 is no IPv6 address'],
	['an address of the other family', { ipv4: '2001:db8::1' }, '2001:db8::1 is no IPv4 address'],
	...['::', '::1', 'fe80::1', 'ff02::1', '::ffff:198.51.100.10'].map((ipv6): (typeof WRONG)[number] => [
		`an IPv6 address that is nobody's, ${ipv6}`,
		{ ipv6 },
		`${ipv6} is no address that one can be reached by`,
	]),
	...['0.0.0.0', '127.0.0.1', '169.254.1.1', '224.0.0.1', '255.255.255.255'].map((ipv4): (typeof WRONG)[number] => [
		`an IPv4 address that is nobody's, ${ipv4}`,
		{ ipv4 },
		`${ipv4} is no address that one can be reached by`,
	]),
	[
		"the netns of the host's own slaves",
		{ netns: 'pathproof.hold' },
		"the netns pathproof.hold keeps this host's addresses from ipvlan containers",
	],
	['no address at all', { ipv6: null }, 'web has no address'],
	['no uplink', { uplinks: [] }, 'web has no uplink'],
	[
		'a second uplink that redirect would never use',
		{ uplinks: [{ device: 'eth0' }, { device: 'eth1' }] },
		'forward redirect leaves by one uplink',
	],
	[
		'a fifth uplink',
		{ forward: 'fib', uplinks: Array.from({ length: 5 }, (_, index) => ({ device: `eth${index}` })) },
		'5 uplinks are too many',
	],
];

for (const [what, change, message] of WRONG) {
	test(`refused before anything is tried: ${what}`, () => {
		expect(() => containerSpec({ ...web, ...change })).toThrow(
			expect.objectContaining({ usage: true, shortMessage: message }),
		);
	});
}

test('addresses are remembered as the kernel prints them', () => {
	const { ipv6, uplinks } = containerSpec({
		name: 'web',
		device: 'veth',
		forward: 'stack',
		ipv6: '2001:DB8:0:2:0:0:0:0010',
		uplinks: [{ device: 'eth0', ipv6NextHop: '2001:0db8:0:1::2', ipv4NextHop: '192.0.2.2' }],
	});
	expect({ ipv6, uplinks }).toEqual({
		ipv6: '2001:db8:0:2::10',
		uplinks: [{ device: 'eth0', ipv6NextHop: '2001:db8:0:1::2', ipv4NextHop: '192.0.2.2' }],
	});
});

test('a next hop is an address of its family, without a zone', () => {
	const add = (ipv6NextHop: string) =>
		containerSpec({
			name: 'web',
			device: 'veth',
			forward: 'stack',
			ipv4: '198.51.100.10',
			uplinks: [{ device: 'eth0', ipv6NextHop }],
		});
	expect(() => add('fe80::2%eth0')).toThrow('fe80::2%eth0 is no IPv6 address of a next hop');
	expect(() => add('192.0.2.2')).toThrow('192.0.2.2 is no IPv6 address of a next hop');
});

test('an identity has a cgroup of its own name and may bind every port, unless it is asked otherwise', () => {
	const spec = containerSpec({ name: 'web', device: 'none', forward: 'native', ipv6: '2001:DB8::10', identity: {} });
	expect(spec).toMatchObject({
		ipv6: '2001:db8::10',
		ipv4: null,
		identity: {
			cgroup: null,
			ports: [],
			reserved: [],
			shares: [],
			serves: [],
			lowPorts: false,
			raw: false,
			privateLocalhost: false,
		},
	});
	const ask = (identity: ContainerRequest['identity'], more: Partial<ContainerRequest> = {}) =>
		containerSpec({ name: 'web', device: 'none', forward: 'native', ipv6: '2001:db8::10', identity, ...more });
	const range = (first: number, last: number) => ({ first, last });
	const wrong: [() => unknown, string][] = [
		[() => ask({}, { ipv6: null }), 'web has no address'],
		[() => ask({}, { device: 'veth', forward: 'redirect' }), "web cannot have a veth and the host's netns"],
		[() => ask({}, { uplinks: [{ device: 'eth0' }] }), 'web shares the netns of the host'],
		[() => ask({}, { netns: 'web' }), 'web shares the netns of the host'],
		[() => ask({ cgroup: 'web' }), 'web is no cgroup'],
		[() => ask({ ports: [range(0, 80)] }), '0-80 is no range of ports'],
		[() => ask({ reserved: [range(90, 80)] }), '90-80 is no range of ports'],
		[() => ask({ ports: [range(80, 65536)] }), '80-65536 is no range of ports'],
		[() => ask({ ports: Array(9).fill(range(1, 2)) }), '9 ranges of ports are too many'],
		[() => ask({ shares: [{ address: 'vip', port: 80, protocol: 'tcp' }] }), 'vip port 80 cannot be shared'],
		...['::', '::1', 'fe80::1', 'ff02::1', '::ffff:198.51.100.80', '0.0.0.0', '127.0.0.1'].flatMap(
			(address): typeof wrong => [
				[() => ask({ shares: [{ address, port: 80, protocol: 'tcp' }] }), `${address} cannot be shared`],
				[
					() => ask({ serves: [{ address, port: 80, protocol: 'tcp', to: 80, sticky: false }] }),
					`${address} cannot be served`,
				],
			],
		),
		[() => ask({ shares: [{ address: 'fe80::1%eth0', port: 80, protocol: 'tcp' }] }), 'fe80::1%eth0 port 80 cannot'],
	];
	for (const [act, said] of wrong) expect(act).toThrow(said);
});
