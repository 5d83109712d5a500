import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lacksPrivateHost } from './private-host.ts';
import { eventually } from './scene.ts';
import { NODE, opened, PROGRAM, PROXY_PORT, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const WEB = '2001:db8:0:2::10';
const lacks = lacksPrivateHost();
let scene: TurnedScene;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make();
	await scene.start([...PROGRAM, 'serve', '443', '80'], { netns: 'peer' });
	await scene.turn('2001:db8:f::/48', 443);
	await scene.turn('203.0.113.0/24', 443);
});
afterAll(() => scene?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

/** Both families, and one in the clothes of the other: what a program names, and what its socket says of that. */
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

test('a program that has sent and gone before its proxy accepts is carried all the same', async () => {
	scene.forward.kill('SIGSTOP');
	expect(await scene.web('post', '2001:db8:f::2', '443', 'too late')).toEqual({ sent: 8 });
	await eventually(async () => expect(await scene.flows()).toEqual([]));
	scene.forward.kill('SIGCONT');
	await eventually(() => expect(scene.told.terminator).toContain(opened('tcp', '[2001:db8:f::2]:443')));
	expect(scene.told.forward.filter((line) => line.includes('refused'))).toEqual([]);
});

test('a flow is seen as long as it lasts, and survives its policy', async () => {
	const lines: string[] = [];
	const program = await scene.start([...PROGRAM, 'hold', '2001:db8:f::1', '443'], { cgroup: 'pathproof/web' }, lines);
	const { local } = JSON.parse(lines[0]!);
	const flow = {
		container: 'web',
		protocol: 'tcp',
		source: local,
		destination: '[2001:db8:f::1]:443',
		proxy: PROXY_PORT,
	};
	expect(await scene.flows()).toEqual([{ ...flow, ageMs: expect.any(Number) }]);

	await scene.done('net', 'tls', 'rm', 'web');
	expect(await scene.web('talk', '2001:db8:f::2', '443', 'hello')).toMatchObject({
		answer: `hello came to [2001:db8:f::2]:443 from ${WEB}`,
	});
	expect(await scene.done('net', 'gc')).toBe('there is nothing to take away\n');
	program.stdin!.write('peer\n');
	await eventually(() => expect(lines[1]).toBe('{"peer":"[2001:db8:f::1]:443"}'));
	program.stdin!.end();
	await eventually(async () => expect(await scene.flows()).toEqual([]));
	expect(await scene.done('net', 'gc', '--dry-run')).toBe(
		'detach the programs that turn flows of web\nunpin the programs of tls_connect\n',
	);
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
	expect(await scene.flows()).toEqual([]);
	await scene.startForward();
	await scene.done('net', 'tls', 'rm', 'web', '--to', '2001:db8:f::2/128', '--port', '443');
});

test('who comes to the proxy by himself is reset, and reaches nobody', async () => {
	// the container's ::1 is its own address
	expect(await scene.web('talk', '::1', String(PROXY_PORT), 'hello')).toEqual({ error: 'ECONNREFUSED' });
	const { stdout } = await scene.host.run([...PROGRAM, 'talk', '::1', String(PROXY_PORT), 'hello']);
	expect(JSON.parse(stdout)).toEqual({ error: 'ECONNRESET' });
	// whether the kernel tracks connections, and knows nothing of this one, or does not
	expect(scene.told.forward.at(-1)).toMatch(/came by itself, and was not turned here: (ENOENT|ENOPROTOOPT)/);
});

test('where there is no room for a flow it is refused', async () => {
	const map = fileURLToPath(new URL('../forward/datapath.ts', import.meta.url));
	const inFlows = (act: string) =>
		scene.host.done([
			...NODE,
			'--input-type=module',
			'-e',
			`import { withMap } from '${map}';
const key = (number) => Buffer.from(new BigUint64Array([BigInt(number) << 40n]).buffer);
withMap('tls_flows', (map) => { ${act} });`,
		]);
	const fill =
		'let n = 1; try { for (; ; n++) map.update(key(n), Buffer.alloc(88)); } catch (e) { console.log(n - 1, e.message); }';
	expect(await inFlows(fill)).toBe('65536 map tls_flows: update: E2BIG\n');
	expect(await scene.web('talk', '2001:db8:f::1', '443', 'hello')).toEqual({ error: 'EPERM' });
	await inFlows('for (let n = 1; n <= 65536; n++) map.delete(key(n));');
	expect(await scene.web('talk', '2001:db8:f::1', '443', 'hello')).toMatchObject({ peer: '[2001:db8:f::1]:443' });
});

test('says first what it would do, does exactly that, and does nothing twice', async () => {
	const words = [
		'net',
		'tls',
		'add',
		'web',
		'--to',
		'::/0',
		'--proxy',
		'15001',
		'--proxy-cgroup',
		'/sys/fs/cgroup/proxy',
	];
	const steps = ['tls_policies: tcp to ::/0 of web goes to the proxy at port 15001, and fails closed'];
	const json = async (...more: string[]) => JSON.parse(await scene.done(...words, '--json', ...more));
	expect(await json('--dry-run')).toEqual({ schema: 1, dryRun: true, changed: false, steps });
	expect(await json()).toEqual({ schema: 1, dryRun: false, changed: true, steps });
	expect(await json()).toEqual({ schema: 1, dryRun: false, changed: false, steps: [] });
	expect(await scene.done('net', 'tls', 'ls')).toMatch(/^web +tcp +::\/0 +every +15001 +closed *$/m);
	const said = async (...more: string[]) => (await scene.host.pathproof('net', 'tls', ...more)).stderr;
	expect(await said('rm', 'web', '--to', '2001:db8::/32')).toContain(
		'there is no policy of web for tcp to 2001:db8::/32',
	);
	expect(await said(...words.slice(2, -1), '/sys/fs/cgroup/pathproof/web')).toContain("is within web's");
	expect(await said(...words.slice(2, -1), '/sys/fs/cgroup/pathproof')).toContain('is in another cgroup than');
});

test('a container that goes takes its policies along', async () => {
	await scene.done('net', 'rm', 'web');
	expect(await scene.host.done(['find', '/sys/fs/bpf', '-mindepth', '1', '-type', 'd'])).toBe('');
	expect(JSON.parse(await scene.done('net', 'tls', 'ls', '--json'))).toEqual({ schema: 1, policies: [] });
});
