import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lacksPrivateHost } from './private-host.ts';
import { eventually } from './scene.ts';
import { opened, PROGRAM, PROXY_PORT, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const WEB = '2001:db8:0:2::10';
const lacks = lacksPrivateHost();
let scene: TurnedScene;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make({ device: 'veth' });
	await scene.start([...PROGRAM, 'serve', '443', '80'], { netns: 'peer' });
	await scene.turn('2001:db8:f::/48', 443);
	await scene.turn('203.0.113.0/24', 443);
});
afterAll(() => scene?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

const pins = () => scene.host.done(['find', '/sys/fs/bpf', '-name', 'tls_*']);
const aliasRoutes = async () =>
	(await scene.host.done(['ip', '-n', 'web', '-6', 'route', 'show', 'table', 'local', '100::/64'])) +
	(await scene.host.done(['ip', '-n', 'web', '-4', 'route', 'show', '240.0.0.0/5']));

test.each([
	['2001:db8:f::1', '[2001:db8:f::1]:443', WEB],
	['203.0.113.1', '203.0.113.1:443', '198.51.100.10'],
	['::ffff:203.0.113.2', '203.0.113.2:443', '198.51.100.10'],
])(
	'a program that connects to %s reaches it over TLS, and its socket says that it is there',
	async (to, shown, own) => {
		const { peer, address, answer } = await scene.web('talk', to, '443', 'hello');
		expect([peer, address]).toEqual([shown, own]);
		// the terminating proxy stands on the same host as the server, and uses its address
		expect(answer).toBe(`hello came to ${shown} from ${shown.replace(/^\[?(.*?)\]?:443$/, '$1')}`);
		expect(scene.told.terminator).toContain(opened('tcp', shown));
	},
);

test('what no policy is about goes as it is', async () => {
	const { answer } = await scene.web('talk', '2001:db8:f::1', '80', 'hello');
	expect(answer).toBe(`hello came to [2001:db8:f::1]:80 from ${WEB}`);
});

test('a flow is seen as long as it lasts, and survives its policy', async () => {
	const lines: string[] = [];
	const program = await scene.start([...PROGRAM, 'hold', '2001:db8:f::1', '443'], scene.place, lines);
	const { local } = JSON.parse(lines[0]!);
	const flow = {
		container: 'web',
		protocol: 'tcp',
		source: local,
		destination: '[2001:db8:f::1]:443',
		proxy: PROXY_PORT,
	};
	await eventually(async () => expect(await scene.flows()).toEqual([{ ...flow, ageMs: expect.any(Number) }]));

	await scene.done('net', 'tls', 'rm', 'web');
	expect(await scene.web('talk', '2001:db8:f::2', '443', 'hello')).toMatchObject({
		answer: `hello came to [2001:db8:f::2]:443 from ${WEB}`,
	});
	// to the very destination of the flow too
	expect(await scene.web('talk', '2001:db8:f::1', '443', 'hello')).toMatchObject({
		answer: `hello came to [2001:db8:f::1]:443 from ${WEB}`,
	});
	expect(await scene.done('net', 'gc')).toBe('there is nothing to take away\n');
	expect(await scene.flows()).toHaveLength(1);
	program.stdin!.end();
	await eventually(async () => expect(await scene.flows()).toEqual([]));
	await scene.done('net', 'gc');
	expect([await pins(), await aliasRoutes()]).toEqual(['', '']);
	await scene.turn('2001:db8:f::/48', 443);
	expect(await scene.done('net', 'check')).toBe('all is as it should be\n');
});

test('without a proxy a program is refused, or goes in clear where its policy says so', async () => {
	await scene.turn('2001:db8:f::2/128', 443, '--fail', 'open');
	expect(await scene.web('talk', '2001:db8:f::2', '443', 'hello')).toMatchObject({
		answer: 'hello came to [2001:db8:f::2]:443 from 2001:db8:f::2',
	});
	await scene.killForward();
	expect(await scene.web('talk', '2001:db8:f::1', '443', 'hello')).toEqual({ error: 'ECONNREFUSED' });
	expect(await scene.web('talk', '2001:db8:f::2', '443', 'hello')).toMatchObject({
		peer: '[2001:db8:f::2]:443',
		answer: `hello came to [2001:db8:f::2]:443 from ${WEB}`,
	});
	await scene.startForward();
	await scene.done('net', 'tls', 'rm', 'web', '--to', '2001:db8:f::2/128', '--port', '443');
});

test('where all goes over TLS, what the proxy itself sends does not go to the proxy again', async () => {
	const all = ['--to', '::/0', '--proxy', String(PROXY_PORT), '--proxy-cgroup', '/sys/fs/cgroup/proxy'];
	await scene.done('net', 'tls', 'add', 'web', ...all);
	await scene.killForward();
	await scene.startForward();
	expect(await scene.web('talk', '2001:db8:f::1', '80', 'hello')).toMatchObject({
		answer: 'hello came to [2001:db8:f::1]:80 from 2001:db8:f::1',
	});
	await scene.done('net', 'tls', 'rm', 'web', '--to', '::/0');
});

test('who comes to the proxy by himself is reset, and reaches nobody', async () => {
	expect(await scene.web('talk', WEB, String(PROXY_PORT), 'hello')).toEqual({ error: 'ECONNRESET' });
	expect(scene.told.forward.at(-1)).toMatch(/came by itself, and was not turned here: (ENOENT|ENOPROTOOPT)/);
});

test('what is amiss is found, and mended by the same command', async () => {
	await scene.host.ip('route del local 100::/64 dev lo\n', 'web');
	const { code, stdout } = await scene.host.pathproof('net', 'check');
	expect([code, stdout.match(/^✗ .*$|try: .*$/gm)]).toEqual([
		1,
		['✗ web: a route of the aliases', 'try:     ip -6 -n web route add local 100::/64 dev lo'],
	]);
	await scene.turn('2001:db8:f::/48', 443);
	expect(await scene.done('net', 'check')).toBe('all is as it should be\n');
	expect(await scene.done('net', 'upgrade')).toBe('the programs of this host are those of this pathproof already\n');
});

test('says first what it would do, does exactly that, and does nothing twice', async () => {
	await scene.done('net', 'tls', 'rm', 'web');
	const proxy = ['--proxy', '15001', '--proxy-cgroup', '/sys/fs/cgroup/proxy'];
	const words = ['net', 'tls', 'add', 'web', '--to', '::/0', ...proxy];
	const steps = [
		'load the programs of tls_netns',
		'ip -6 -n web route add local 100::/64 dev lo',
		'ip -4 -n web route add 240.0.0.0/5 dev lo',
		'tls_ns: the proxy of web is in /sys/fs/cgroup/proxy',
		'attach tls_ns_original to /sys/fs/cgroup/proxy',
		'attach tls_arrive to eth0 in its netns',
		'attach tls_turn_back to lo in its netns',
		'attach tls_guard to web',
		'attach tls_turn to eth0 in its netns',
		'tls_ns_policies: tcp to ::/0 of web goes to the proxy at port 15001, and fails closed',
	];
	const json = async (...more: string[]) => JSON.parse(await scene.done(...words, '--json', ...more));
	await eventually(async () => {
		await scene.done('net', 'gc'); // of flows that have just ended
		expect(await json('--dry-run')).toEqual({ schema: 1, dryRun: true, changed: false, steps });
	});
	expect(await json()).toEqual({ schema: 1, dryRun: false, changed: true, steps });
	expect(await json()).toEqual({ schema: 1, dryRun: false, changed: false, steps: [] });
	expect(await scene.done('net', 'tls', 'ls')).toMatch(/^web +tcp +::\/0 +every +15001 +closed *$/m);
});

test('a container that goes takes its policies along', async () => {
	await scene.done('net', 'rm', 'web');
	expect(await scene.host.done(['find', '/sys/fs/bpf', '-mindepth', '1', '-type', 'd'])).toBe('');
	expect(JSON.parse(await scene.done('net', 'tls', 'ls', '--json'))).toEqual({ schema: 1, policies: [] });
});
