import { expect, test } from 'vitest';
import { type ContainerSpec, containerSpec } from '../container.ts';
import { refuseClaims } from './claims.ts';
import type { IdentitySpec } from './spec.ts';

const WEB = { ipv6: '2001:db8::10', ipv4: '198.51.100.10' } as const;
const HOSTS = ['2001:0db8:0000:0000:0000:0000:0000:0001', '192.0.2.1', WEB.ipv6, WEB.ipv4];
const TCP = { port: 80, protocol: 'tcp' } as const;

const container = (name: string, addresses: Partial<ContainerSpec>, identity: Partial<IdentitySpec> = {}) =>
	containerSpec({ name, device: 'none', forward: 'native', ...addresses, identity });
const shares = (address: string) => ({ shares: [{ address, ...TCP }] });
const serves = (address: string) => ({ serves: [{ address, ...TCP, to: 8080, sticky: false }] });

const web = container('web', WEB);
const veth = containerSpec({
	...{ name: 'veth', device: 'veth', forward: 'redirect', uplinks: [{ device: 'eth0' }] },
	ipv6: '2001:db8::20',
});
/** The others can be gone through once. */
const said = (spec: ContainerSpec, others: ContainerSpec[]) => () => refuseClaims(spec, others.values(), HOSTS);

test('a port of an address can be shared unless that is another container, whatever device this has', () => {
	const api = (address: string) => container('api', { ipv6: '2001:db8::11' }, shares(address));
	expect(said(api('2001:db8::80'), [web, veth])).not.toThrow();
	expect(said(api('2001:db8::1'), [web, veth])).not.toThrow();
	expect(said(api('2001:db8::20'), [web, veth])).toThrow(
		"2001:db8::20, which api would share, is veth's own\ntry: pathproof net show veth",
	);
	expect(said(api(WEB.ipv4), [web, veth])).toThrow("198.51.100.10, which api would share, is web's own");
});

test('a service is at an address that no device has', () => {
	const api = (address: string) => container('api', { ipv6: '2001:db8::11' }, serves(address));
	expect(said(api('2001:db8::80'), [web, veth])).not.toThrow();
	expect(said(api('2001:db8::1'), [web, veth])).toThrow("2001:db8::1, which api would serve, is this host's own");
	expect(said(api('2001:db8::11'), [web, veth])).toThrow("2001:db8::11, which api would serve, is api's own");
	expect(said(api(WEB.ipv6), [web, veth])).toThrow("2001:db8::10, which api would serve, is web's own");
	expect(said(api('2001:db8::20'), [web, veth])).toThrow("2001:db8::20, which api would serve, is veth's own");
});

test('no container gets an address that another one shares or serves', () => {
	const proxy = container('proxy', { ipv6: '2001:db8::30' }, { ...shares('2001:db8::11'), ...serves('2001:db8::20') });
	expect(said(web, [proxy])).not.toThrow();
	expect(said(container('api', { ipv6: '2001:db8::11' }), [proxy])).toThrow(
		'2001:db8::11, which api would have, is one that proxy shares',
	);
	expect(said(veth, [proxy])).toThrow(
		'2001:db8::20, which veth would have, is one that proxy serves\ntry: pathproof net show proxy',
	);
});
