import { expect, test } from 'vitest';
import { containerSpec } from '../container.ts';
import { parseUplink } from '../request.ts';
import { addCommand, remake } from './words.ts';

const WEB = {
	name: 'web',
	device: 'netkit-l3',
	forward: 'redirect',
	uplinks: [{ device: 'eth0', ipv6NextHop: '2001:db8:0:1::2', ipv4NextHop: '192.0.2.2' }],
	ipv6: '2001:db8:0:2::10',
} as const;

test('a container is typed again as it was asked for, and nothing that goes without saying', () => {
	expect(addCommand(containerSpec({ ...WEB, uplinks: [...WEB.uplinks] }))).toBe(
		'pathproof net add web --device netkit-l3 --forward redirect --uplink eth0,2001:db8:0:1::2,192.0.2.2 --ipv6 2001:db8:0:2::10',
	);
	const special = containerSpec({
		name: 'api',
		device: 'veth',
		forward: 'fib',
		uplinks: [{ device: 'eth0' }, { device: 'eth1', ipv4NextHop: '203.0.113.2' }],
		ipv4: '198.51.100.11',
		tenant: 'shop',
		allow: ['bank', 'post'],
		guard: false,
		netns: 'there-already',
	});
	expect(remake(special)).toBe(
		'pathproof net rm api && pathproof net add api --device veth --forward fib --uplink eth0 --uplink eth1,203.0.113.2 --ipv4 198.51.100.11 --tenant shop --allow bank --allow post --no-guard --netns there-already',
	);
});

test('an identity is typed again with what it may bind', () => {
	const spec = containerSpec({
		name: 'db',
		device: 'none',
		forward: 'native',
		ipv6: '2001:db8::20',
		identity: {
			cgroup: '/sys/fs/cgroup/db',
			ports: [
				{ first: 80, last: 80 },
				{ first: 8000, last: 8999 },
			],
			reserved: [{ first: 8080, last: 8080 }],
			shares: [{ address: '2001:db8::80', port: 443, protocol: 'tcp' }],
			serves: [{ address: '2001:db8::99', port: 80, protocol: 'tcp', to: 8001, sticky: true }],
			drained: true,
			lowPorts: true,
			privateLocalhost: true,
			countUdp: true,
		},
	});
	expect(addCommand(spec)).toBe(
		'pathproof net add db --mode identity --ip 2001:db8::20 --cgroup /sys/fs/cgroup/db --ports 80,8000-8999 --reserved 8080 --share 2001:db8::80,443/tcp --serve 2001:db8::99,80/tcp,8001,sticky --drained --low-ports --private-localhost --count-udp',
	);
});

test('an uplink is a device and its next hops, in either order', () => {
	expect(parseUplink('eth0')).toEqual({ device: 'eth0' });
	expect(parseUplink('eth0.7,192.0.2.2,2001:db8::1')).toEqual({
		device: 'eth0.7',
		ipv6NextHop: '2001:db8::1',
		ipv4NextHop: '192.0.2.2',
	});
	for (const [wrong, said] of [
		['', '"" is no uplink'],
		['eth0,gateway', 'gateway is no address of a next hop'],
		['eth0,192.0.2.1,192.0.2.2', '"eth0,192.0.2.1,192.0.2.2" is no uplink'],
	] as const)
		expect(() => parseUplink(wrong)).toThrow(said);
});
