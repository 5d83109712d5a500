/** Adding, looking at, and taking away; whose cgroup it is, and who else has programs there. */
import { buildProgram, expect, test } from 'pathproof';
import { PEER } from '../state/scene.ts';
import { FULL } from '../support/config.ts';
import { ADDRESSES, type Call, cgroup, HOST, identity, identityScene } from './scene.ts';

const { web, api } = ADDRESSES;
const SERVICE = '2001:db8:0:2::99';
/** A cgroup that somebody else made. */
const UNIT = '/sys/fs/cgroup/unit';
const TO_PEER: Call = { call: 'connect', type: 'tcp', to: PEER.ipv6, port: 7 };

test('on the command line: says first what it would do, does exactly that, and leaves nothing', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { done, state, run } = await identityScene(lab);
	const asked = ['--ports', '80', '--serve', `${SERVICE},80/tcp,80`];
	const words = ['net', 'add', 'web', '--mode', 'identity', '--ip', web.ipv6, ...asked];
	const steps = async (argv: string[]) => (JSON.parse(await done([...argv, '--json'])) as { steps: string[] }).steps;
	const before = await state.hostState();
	const dry = await steps([...words, '--dry-run']);
	expect(await state.differences(before)).toEqual({});
	expect(await steps(words)).toEqual(dry);
	expect(dry).toContain(`ip addr add ${web.ipv6}/128 dev lo nodad preferred_lft 0`);
	expect(await done(words)).toBe('web is there already\n');
	expect(await done(['net', 'check'])).toBe('all is as it should be\n');
	await run('web', ['busybox', 'nc', '-w', '1', PEER.ipv6, '9'], { reject: false });
	const shown = await done(['net', 'show', 'web']);
	expect(shown).toMatch(/^web {2}identity, tenant web$/m);
	expect(shown).toMatch(/cgroup +\/sys\/fs\/cgroup\/pathproof\/web \(\d+\)/);
	expect(shown).toMatch(/^ +asked +--ports 80\n +--serve 2001:db8:0:2::99,80\/tcp,80$/m);
	expect(shown).toMatch(/ 1 CONNECTS$/m);
	expect(await steps(['net', 'drain', 'web', '--dry-run'])).toEqual([
		'services: nobody new is sent to web',
		'record that web is drained',
	]);
	expect(await done(['net', 'drain', 'web'])).toBe('web is drained\n');
	expect(await done(['net', 'drain', 'web'])).toBe('web is drained already\n');
	expect(await done(['net', 'ls'])).toMatch(/^web .* drained *$/m);
	expect(await done(['net', 'drain', 'web', '--undo'])).toBe('web is not drained\n');
	expect(await done(['net', 'ls'])).not.toContain('drained');
	const dryRemoval = await steps(['net', 'rm', 'web', '--dry-run']);
	expect(await steps(['net', 'rm', 'web'])).toEqual(dryRemoval);
	expect(await state.differences(before)).toEqual({});
});

test('a cgroup that is there already is used with all that is within it, and left as it was', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, state, calls, serve, vm } = await identityScene(lab);
	await vm.exec(['mkdir', '-p', `${UNIT}/inner/worker`]);
	await using _peer = await serve(null, '::', 7);
	const seen = async (path: string) => (await calls(path, [TO_PEER]))[0]!.seen;
	const before = await state.hostState();
	await net.addContainer(identity('web', { cgroup: UNIT }));
	expect(await seen(`${UNIT}/inner/worker`)).toBe(web.ipv6);
	// a container within a container has the last word
	await net.addContainer(identity('api', { cgroup: `${UNIT}/inner` }));
	expect(await seen(`${UNIT}/inner/worker`)).toBe(api.ipv6);
	expect(await seen(UNIT)).toBe(web.ipv6);
	const bind: Call = { call: 'bind', type: 'tcp', bind: [api.ipv6, 80] };
	expect((await calls(`${UNIT}/inner/worker`, [bind]))[0]!.local).toBe(api.ipv6);
	expect((await calls(UNIT, [bind]))[0]!.error).toBe('EPERM');
	const flows = async (name: string) => (await net.showContainer(name)).identity!.counts.FLOWS_OUT;
	expect([await flows('web'), await flows('api')]).toEqual([2, 1]);
	await net.removeContainers(['web', 'api']);
	expect(await seen(`${UNIT}/inner/worker`)).toBe(HOST.ipv6);
	expect(await state.differences(before)).toEqual({});
	await expect(net.addContainer(identity('web', { cgroup: '/sys/fs/cgroup/nowhere' }))).rejects.toThrow(
		'there is no cgroup /sys/fs/cgroup/nowhere',
	);
	await expect(net.addContainer(identity('web', { cgroup: '/tmp' }))).rejects.toThrow('/tmp is no cgroup of version 2');
	expect(await state.differences(before)).toEqual({});
});

test("somebody else's program on the same cgroup has its say of what ours made of a call, or, attached first to a kernel without an order, of what was asked", {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, calls, has, serve, vm } = await identityScene(lab);
	await vm.exec(['mkdir', UNIT]);
	await vm.writeFile('/run/refuse.o', await buildProgram('fixtures/refuse-connect.bpf.c'));
	await vm.exec(['bpftool', 'prog', 'load', '/run/refuse.o', '/sys/fs/bpf/refuse']);
	const stranger = (what: 'attach' | 'detach') =>
		vm.exec([
			...['bpftool', 'cgroup', what, UNIT, 'connect6', 'pinned', '/sys/fs/bpf/refuse'],
			...(what === 'attach' ? ['multi'] : []),
		]);
	await using _peer = await serve(null, '::', 7);
	const TO_SELF: Call = { call: 'connect', type: 'tcp', to: '::1', port: 7 };
	const outcomes = async () => (await calls(UNIT, [TO_PEER, TO_SELF])).map(({ seen, error }) => seen ?? error);

	await stranger('attach');
	await net.addContainer(identity('web', { cgroup: UNIT }));
	await using _own = await serve(UNIT, '::1', 7);
	expect(await outcomes()).toEqual([web.ipv6, has('cgroup-mprog') ? '::1' : 'EPERM']);
	expect(await net.checkHost()).toEqual([]);
	await stranger('detach');
	expect(await outcomes()).toEqual([web.ipv6, '::1']);
	// behind ours: ::1 is the container's own address then
	await stranger('attach');
	expect(await outcomes()).toEqual([web.ipv6, '::1']);
	expect(await net.checkHost()).toEqual([]);
});

test('one whose cgroup was taken away is dead; one whose cgroup was made anew is given all that it had', {
	tags: [FULL],
}, async ({ lab, requires }) => {
	await requires('modules');
	const { net, state, vm, calls, serve } = await identityScene(lab);
	const before = await state.hostState();
	await using _peer = await serve(null, '::', 7);
	await net.addContainer(identity('web'));
	await vm.exec(['rmdir', cgroup('web')]);
	expect((await net.checkHost()).map(({ what }) => what)).toEqual(['its cgroup is gone']);
	await net.collectGarbage();
	expect(await net.listContainers()).toEqual([]);
	expect(await state.differences(before)).toEqual({});

	await net.addContainer(identity('web'));
	await vm.exec(['sh', '-c', `rmdir ${cgroup('web')} && mkdir ${cgroup('web')}`]);
	expect((await net.checkHost()).map(({ what, found }) => [what, found])).toEqual(
		expect.arrayContaining([
			[`bind6 on ${cgroup('web')}`, 'its link is detached'],
			['its row of the map identities', 'no such row'],
		]),
	);
	await net.collectGarbage();
	expect(await net.checkHost()).toEqual([]);
	expect((await calls('web', [TO_PEER]))[0]!.seen).toBe(web.ipv6);
	// what its programs have made within it goes with it
	await vm.exec(['mkdir', '-p', `${cgroup('web')}/inner/worker`]);
	await net.removeContainer('web');
	expect(await state.differences(before)).toEqual({});
});

test('a container is not taken away over the heads of its processes', { tags: [FULL] }, async ({ lab, requires }) => {
	await requires('modules');
	const { net, state, serve } = await identityScene(lab);
	const before = await state.hostState();
	await net.addContainer(identity('web'));
	const server = await serve('web', '::', 80);
	await expect(net.removeContainer('web')).rejects.toThrow(`there are processes in ${cgroup('web')}`);
	// nothing was begun
	expect((await net.listContainers()).map(({ state }) => state)).toEqual(['ready']);
	expect(await net.checkHost()).toEqual([]);
	await server.kill();
	await net.removeContainer('web');
	expect(await state.differences(before)).toEqual({});
});
