import { buildProgram, describe, expect, test } from 'pathproof';
import { DEVICES, type Device, type Forward } from '../../impl/container.ts';
import { identity } from '../identity/scene.ts';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { CELLS, request, scene } from './scene.ts';

/** Of each family of devices the one that is used most; the others leave what it leaves. */
const SAMPLE = ['veth'];
const TITLE = 'a container on $device';

function leavesNothing({ device }: { device: Device }): void {
	test('leaves the host as it was, byte for byte, whatever the way of its packets', async ({ lab, requires }) => {
		const cells = CELLS.filter((cell) => cell.device === device);
		if (cells[0]!.needs.length) await requires(...cells[0]!.needs);
		const { net, state, reaches, has } = await scene(lab);
		const before = await state.hostState();
		for (const cell of cells) {
			if (!has(cell.extra)) continue;
			await net.addContainer(request('web', cell));
			if (device !== 'none') await reaches('web');
			expect({ cell, findings: await net.checkHost() }).toEqual({ cell, findings: [] });
			await net.removeContainer('web');
			expect({ cell, left: await state.differences(before) }).toEqual({ cell, left: {} });
		}
	});
}

const all = DEVICES.map((device) => ({ device }));
describe.for(all.filter(({ device }) => SAMPLE.includes(device)))(TITLE, turn(0), leavesNothing);
describe.for(all.filter(({ device }) => !SAMPLE.includes(device)))(TITLE, { tags: [FULL] }, leavesNothing);

test('the first of two to go leaves the host as the second made it', { tags: [FULL], timeout: 600_000 }, async ({
	lab,
	requires,
}) => {
	await requires('veth', 'ipvlan');
	const { net, state, reaches } = await scene(lab);
	const veth = (forward: Forward) => (name: 'web' | 'api') => request(name, { device: 'veth', forward });
	const ipvlan = (name: 'web' | 'api') => request(name, { device: 'ipvlan-l2', forward: 'native' });
	for (const [second, first] of [
		[veth('redirect'), veth('stack')],
		[veth('stack'), veth('stack')],
		[veth('redirect'), identity],
		[veth('redirect'), ipvlan],
		[identity, identity],
	] as const) {
		const [api, web] = [second('api'), first('web')];
		await net.addContainer(api);
		const before = await state.hostState();
		await net.addContainer(web);
		expect(Object.keys(await state.differences(before))).toContain('pins');
		await net.removeContainer('web');
		expect({ api, web, left: await state.differences(before) }).toEqual({ api, web, left: {} });
		if (!api.identity) await reaches('api');
		await net.removeContainer('api');
	}
});

test('what somebody else had switched on, or attached, stays', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('veth', 'clsact');
	const { net, state, vm } = await scene(lab);
	await vm.writeFile('/tmp/stranger.bpf.o', await buildProgram('fixtures/stranger.bpf.c'));
	for (const command of [
		'echo 1 >/proc/sys/net/ipv4/conf/eth0/forwarding',
		'echo 0 >/proc/sys/net/ipv4/conf/all/accept_redirects',
		'bpftool prog load /tmp/stranger.bpf.o /sys/fs/bpf/stranger type classifier',
		'tc qdisc add dev eth0 clsact',
		'tc filter add dev eth0 ingress prio 1 bpf da pinned /sys/fs/bpf/stranger',
	])
		await vm.exec(['sh', '-ec', command]);
	const before = await state.hostState();
	for (const forward of ['stack', 'redirect'] as const) {
		await net.addContainer(request('web', { device: 'veth', forward }));
		await net.removeContainer('web');
		expect({ forward, left: await state.differences(before) }).toEqual({ forward, left: {} });
	}
});

test("a filter of somebody else's that stands where ours would is not replaced", { tags: [FULL] }, async ({
	lab,
	requires,
}) => {
	await requires('veth', 'clsact');
	const { net, state, vm, has } = await scene(lab);
	await vm.writeFile('/tmp/stranger.bpf.o', await buildProgram('fixtures/stranger.bpf.c'));
	for (const command of [
		'bpftool prog load /tmp/stranger.bpf.o /sys/fs/bpf/stranger type classifier',
		'tc qdisc add dev eth0 clsact',
		'tc filter add dev eth0 ingress prio 10 handle 1 bpf da pinned /sys/fs/bpf/stranger',
	])
		await vm.exec(command.split(' '));
	const before = await state.hostState();
	const added = net.addContainer(request('web', { device: 'veth', forward: 'redirect' }));
	const said = await added.then(
		() => null,
		({ message }: Error) => message,
	);
	// a link and a filter do not meet
	const refused = expect.stringMatching(/^a filter of somebody else's, \w+, stands where ingress_peer is to be/);
	expect(said).toEqual(has('tcx') ? null : refused);
	if (said === null) await net.removeContainer('web');
	expect(await state.differences(before)).toEqual({});
});
