import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { Capture, lacksTcpdump } from './capture.ts';
import { lacksPrivateHost } from './private-host.ts';
import { eventually } from './scene.ts';
import { PROGRAM, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const lacks = lacksPrivateHost() ?? lacksTcpdump();
let scene: TurnedScene;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make({ device: 'veth', owned: true });
	await scene.start([...PROGRAM, 'serve', '443'], { netns: 'peer' });
	await scene.turn('2001:db8:f::/48', 443);
	await scene.turn('2001:db8:f::/48', 53, '--protocol', 'udp');
});
afterAll(() => scene?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

const owner = (...words: string[]) => scene.host.run([...scene.asOwner, ...words], { cgroup: 'owner' });

test('who owns the netns as root of a user namespace cannot take its programs away', async () => {
	expect((await owner('id', '-u')).stdout).toBe('0\n');
	expect(await owner('ip', 'link', 'set', 'dev', 'eth0', 'txqueuelen', '500')).toMatchObject({ code: 0 });
	// what would take away a filter
	expect(await owner('tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact')).toMatchObject({ code: 0 });
	expect(await owner('tc', 'qdisc', 'del', 'dev', 'eth0', 'clsact')).toMatchObject({ code: 0 });
	expect((await owner('bpftool', 'link', 'show')).stderr).toContain('Operation not permitted');
	const links = await scene.host.done(['bpftool', '--json', 'link', 'show']);
	for (const { id } of JSON.parse(links) as { id: number }[])
		expect((await owner('bpftool', 'link', 'detach', 'id', String(id))).stderr).toContain('Operation not permitted');
	expect(await scene.done('net', 'check')).toBe('all is as it should be\n');
	const { answer } = await scene.web('talk', '2001:db8:f::1', '443', 'hello');
	expect(answer).toBe('hello came to [2001:db8:f::1]:443 from 2001:db8:f::1');
});

test('nothing leaves eth0 where he has moved it to another netns of his', async () => {
	const lines: string[] = [];
	await scene.start(
		[...scene.asOwner, 'unshare', '--net', 'sh', '-c', 'echo $$; exec cat'],
		{ cgroup: 'owner' },
		lines,
	);
	const [{ address: gateway }] = JSON.parse(await scene.host.done(['ip', '-j', 'link', 'show', 'web']));
	expect(await owner('ip', 'link', 'set', 'dev', 'eth0', 'netns', lines[0]!)).toMatchObject({ code: 0 });
	const there = (...words: string[]) =>
		scene.host.run(['nsenter', '--target', lines[0]!, '--user', '--net', '--preserve-credentials', ...words], {
			cgroup: 'owner',
		});
	for (const command of [
		'link set dev eth0 up',
		'addr add 2001:db8:0:2::10/128 dev eth0 nodad',
		`neigh replace fe80::1 lladdr ${gateway} dev eth0 nud permanent`,
		'route add ::/0 via fe80::1 dev eth0',
	])
		expect(await there('ip', ...command.split(' '))).toMatchObject({ code: 0, stderr: '' });
	await using wire = await Capture.start(scene.host, 'peer', 'eth0', '-w', '-');
	await there('timeout', '3', ...PROGRAM, 'ask', '53', 'a-nonce', '2001:db8:f::1');
	await scene.host.done(['ping', '-c', '1', '-p', '6c617374', '2001:db8:0:1::2']);
	await eventually(() => expect(wire.bytes.includes('last')).toBe(true));
	expect(wire.bytes.includes('a-nonce')).toBe(false);
});
