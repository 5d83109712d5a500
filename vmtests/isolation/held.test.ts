/** What comes for the host stays the host's, though ipvlan would hand it to any slave that has the address. */
import { describe, expect, type Lab, test } from 'pathproof';
import { containerSpec } from '../../impl/container.ts';
import { addressesOf } from '../../impl/forward/tables.ts';
import { identity } from '../identity/scene.ts';
import { request, scene } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import { turn } from '../support/turns.ts';
import { arenaRequest } from './arena.ts';

const net = ({ vm }: Lab) => vm.use<typeof import('../../impl/net.ts')>('impl/net.ts');

/** What the kernel says to an owner who wants an address on eth0; empty: it is given. */
async function refusal({ web }: Lab, address: string): Promise<string> {
	const words = ['ip', 'addr', 'add', address, 'dev', 'eth0', ...(address.includes(':') ? ['nodad'] : [])];
	return (await web.tenant(words, { reject: false })).stderr;
}

const IN_USE = /Address already (in use|assigned)/;

function kept(device: 'ipvlan-l2' | 'ipvlan-l3' | 'ipvlan-l3s'): void {
	test('an owner is refused the addresses of the host, and the host is reached all the while', async ({
		lab,
		requires,
	}) => {
		await requires(...DEVICE_NEEDS[device], 'tcx');
		const made = await lab(arenaRequest(device, 'native', true));
		const { host, peer } = made;
		await host.exec(['ip', 'addr', 'add', 'fe80::7/64', 'dev', 'eth0', 'nodad']);
		await net(made).collectGarbage();
		for (const address of [`${host.ipv6}/128`, `${host.ipv4}/32`, 'fe80::7/64'])
			expect(await refusal(made, address), address).toMatch(IN_USE);
		for (const address of [host.ipv6, host.ipv4]) await peer.exec(['ping', '-c1', '-W5', address]);
	});
}

describe('on ipvlan-l2', turn(0, 'ipvlan', 'tcx'), () => kept('ipvlan-l2'));
describe('on ipvlan-l3', { tags: [FULL] }, () => kept('ipvlan-l3'));
describe('on ipvlan-l3s', { tags: [FULL] }, () => kept('ipvlan-l3s'));

test("the addresses of identities are kept too, and of an uplink that is down the host's", {
	tags: [FULL],
	timeout: 300_000,
}, async ({ lab, requires }) => {
	await requires('ipvlan', 'tcx', 'modules');
	const { vm, net, state } = await scene(lab);
	const before = await state.hostState({ quick: true });
	const refused = async (address: string) =>
		(await vm.exec(['ip', '-n', 'web', 'addr', 'add', address, 'dev', 'eth0'], { reject: false })).stderr;
	await vm.exec(['ip', 'link', 'set', 'dev', 'eth0', 'down']);
	await net.addContainer(request('web', { device: 'ipvlan-l2', forward: 'native' }));
	expect(await refused('192.0.2.1/32')).toMatch(IN_USE);
	await vm.exec(['ip', 'link', 'set', 'dev', 'eth0', 'up']);
	await net.addContainer(identity('api'));
	for (const address of addressesOf(containerSpec(identity('api')))) {
		expect(await refused(address), address).toMatch(IN_USE);
	}
	await net.removeContainer('api');
	await net.removeContainer('web');
	expect(Object.keys(await state.differences(before))).not.toContain('pins');
});

test('an address that the host is given later is kept once net gc was told; one that was taken before is told of', {
	tags: [FULL],
	timeout: 300_000,
}, async ({ lab, requires }) => {
	await requires('ipvlan', 'tcx');
	const made = await lab(arenaRequest('ipvlan-l2', 'native', true));
	const { host, web } = made;
	const { checkHost, collectGarbage } = net(made);
	const what = "this host's addresses, kept from the slaves of its uplinks";
	expect(await checkHost()).toEqual([]);
	for (const address of ['192.0.2.77/24', '192.0.2.78/24'])
		await host.exec(['ip', 'addr', 'add', address, 'dev', 'eth0']);
	expect(await refusal(made, '192.0.2.78/32')).toBe('');
	expect((await checkHost()).map((one) => one.what)).toContain(what);
	await expect(collectGarbage()).rejects.toThrow('an ipvlan container has an address that it was not given');
	await web.tenant(['ip', 'addr', 'del', '192.0.2.78/32', 'dev', 'eth0']);
	await collectGarbage();
	expect(await checkHost()).toEqual([]);
	for (const address of ['192.0.2.77/32', '192.0.2.78/32']) expect(await refusal(made, address)).toMatch(IN_USE);
	await host.exec(['ip', 'addr', 'del', '192.0.2.77/24', 'dev', 'eth0']);
	await collectGarbage();
	expect(await refusal(made, '192.0.2.77/32')).toBe('');
});
