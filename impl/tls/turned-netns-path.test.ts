import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { Capture, lacksTcpdump } from './capture.ts';
import { lacksPrivateHost } from './private-host.ts';
import { eventually } from './scene.ts';
import { NODE, PROGRAM, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const lacks = lacksPrivateHost() ?? lacksTcpdump();
let scene: TurnedScene;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make({ device: 'veth' });
	await scene.start([...PROGRAM, 'serve', '443', '80'], { netns: 'peer' });
	await scene.start([...PROGRAM, 'answer', '53', '2001:db8:f::1', '203.0.113.1'], { netns: 'peer' });
	await scene.turn('2001:db8:f::/48', 443);
	await scene.turn('203.0.113.0/24', 443);
	await scene.turn('2001:db8:f::/48', 53, '--protocol', 'udp');
	await scene.turn('203.0.113.0/24', 53, '--protocol', 'udp');
});
afterAll(() => scene?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

const watch = (netns: string, device: string, ...words: string[]) => Capture.start(scene.host, netns, device, ...words);
const PLAIN = ['-l', '-t', '-q'];
/** `IP6 2001:db8::1.443 > 2001:db8::2.40000: tcp 5`: from whom to whom, without the port that a program got */
const ways = ({ lines }: Capture) =>
	[
		...new Set(
			lines.map((line) =>
				/ (\S+) > (\S+): /
					.exec(line)!
					.slice(1)
					.join(' ')
					.replaceAll(/\.[3-6]\d{4}\b/g, '')
					.replaceAll(/100::[0-9a-f:]+|24\d\.\d+\.\d+\.\d+/g, 'alias'),
			),
		),
	].sort();

test.each([
	['2001:db8:f::1', '2001:db8:0:2::10', 'ip6'],
	['203.0.113.1', '198.51.100.10', 'ip'],
])(
	'what goes to %s never leaves eth0 but enters it; the answer goes by lo, and is seen on eth0 only as the destination’s',
	async (peer, web, ip) => {
		const filter = `${ip} and (tcp or udp) and not port 4433`;
		await using out = await watch('web', 'eth0', '-Q', 'out', ...PLAIN, filter);
		await using inwards = await watch('web', 'eth0', '-Q', 'in', ...PLAIN, filter);
		await using lo = await watch('web', 'lo', '-Q', 'in', ...PLAIN, filter);
		await scene.web('talk', peer, '443', 'hello');
		await scene.web('call', peer, '53', 'hello');
		await eventually(() => {
			expect(ways(lo)).toEqual([`${web}.15001 alias`]);
			expect(ways(inwards)).toEqual([`${peer}.443 ${web}`, `${peer}.53 ${web}`, `alias ${web}.15001`].sort());
		});
		expect(ways(out)).toEqual([]);
	},
);

test.each(['2001:db8:f::1', '203.0.113.1'])(
	'of what a program says to %s nothing is on the wire but TLS',
	async (peer) => {
		await using wire = await watch('peer', 'eth0', '-w', '-');
		const said = [
			await scene.web('talk', peer, '443', 'nonce-of-tcp'),
			await scene.web('call', peer, '53', 'nonce-of-udp'),
			await scene.web('talk', peer, '80', 'nonce-in-clear'),
		];
		expect(said.map(({ answer }) => answer?.split(' ')[0])).toEqual(['nonce-of-tcp', 'nonce-of-udp', 'nonce-in-clear']);
		await eventually(() => expect(wire.bytes.includes('nonce-in-clear')).toBe(true));
		expect(['nonce-of-tcp', 'nonce-of-udp'].filter((nonce) => wire.bytes.includes(nonce))).toEqual([]);
	},
);

/** What is done to a map, on the host. */
function inMap(name: string, act: string): Promise<string> {
	const module = fileURLToPath(new URL('../forward/datapath.ts', import.meta.url));
	const script = `import { withMap } from '${module}'; withMap('${name}', (map) => { ${act} });`;
	return scene.host.done([...NODE, '--input-type=module', '-e', script]);
}

test('with another MAC than that of eth0 a packet is dropped there, as for another host', async () => {
	const dropped = async () => {
		const [link] = JSON.parse(await scene.host.done(['ip', '-n', 'web', '-s', '-s', '-j', 'link', 'show', 'eth0']));
		return (link.stats64.rx.otherhost ?? 0) as number; // without a word where it is none
	};
	const flip = () =>
		inMap(
			'tls_ns',
			'for (const key of map.keys()) { const row = map.lookup(key); row[48] ^= 4; map.update(key, row); }',
		);
	const before = await dropped();
	await flip();
	const { stdout } = await scene.host.run(
		['timeout', '2', ...PROGRAM, 'talk', '2001:db8:f::1', '443', 'hello'],
		scene.place,
	);
	await flip();
	expect(stdout).toBe('');
	expect(await dropped()).toBeGreaterThan(before);
	expect(await scene.web('talk', '2001:db8:f::1', '443', 'hello')).toMatchObject({ peer: '[2001:db8:f::1]:443' });
});

test('an alias that was forgotten is the same when it is made again', async () => {
	const aliases = async () =>
		(await inMap('tls_ns_aliases', "for (const key of map.keys()) console.log(key.toString('hex'));"))
			.trim()
			.split('\n')
			.sort();
	const all = await aliases();
	expect(all.length).toBeGreaterThan(0);
	await inMap('tls_ns_aliases', 'for (const key of map.keys()) map.delete(key);');
	for (const peer of ['2001:db8:f::1', '203.0.113.1']) {
		await scene.web('talk', peer, '443', 'hello');
		await scene.web('call', peer, '53', 'hello');
	}
	expect(await aliases()).toEqual(all);
});
