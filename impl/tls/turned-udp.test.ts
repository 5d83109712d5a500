import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { buildBpfFile } from '../../bpf/build.ts';
import { lacksPrivateHost } from './private-host.ts';
import { eventually } from './scene.ts';
import { FOUR, MANY, opened, PROGRAM, SIX, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const lacks = lacksPrivateHost();
let scene: TurnedScene;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make({ many: MANY });
	await scene.start([...PROGRAM, 'answer', '53', ...SIX, ...FOUR], { netns: 'peer' });
	await scene.turn('2001:db8:f::/48', 53, '--protocol', 'udp');
	await scene.turn('203.0.113.0/24', 53, '--protocol', 'udp');
});
afterAll(() => scene?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

test('one socket sends to 200 destinations over TLS: each gets its own, and each answer comes from the one that gave it', async () => {
	const { answers } = await scene.web('ask', '53', 'who', ...SIX);
	expect(answers).toEqual(Object.fromEntries(SIX.map((address) => [`[${address}]:53`, `who came to ${address}`])));
	expect(SIX.filter((address) => !scene.told.terminator.includes(opened('udp', `[${address}]:53`)))).toEqual([]);
});

test('so it is of IPv4', async () => {
	const { answers } = await scene.web('ask', '53', 'who', ...FOUR);
	expect(answers).toEqual(Object.fromEntries(FOUR.map((address) => [`${address}:53`, `who came to ${address}`])));
	expect(FOUR.filter((address) => !scene.told.terminator.includes(opened('udp', `${address}:53`)))).toEqual([]);
});

test('remembered by sendmsg alone, all 200 answers seem to come from the last destination: a socket sends to all from one address and port', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'pathproof-'));
	const { host } = scene;
	try {
		const object = await buildBpfFile(
			fileURLToPath(new URL('../../fixtures/sendmsg-only.bpf.c', import.meta.url)),
			folder,
		);
		await host.done(['bpftool', 'prog', 'loadall', object, '/sys/fs/bpf/sendmsg-only']);
	} finally {
		rmSync(folder, { recursive: true });
	}
	await scene.start([...PROGRAM, 'answer', '15002', '::1'], { cgroup: 'plain' });
	const attach = (hook: string, program: string) =>
		host.done([
			'bpftool',
			'cgroup',
			'attach',
			'/sys/fs/cgroup/plain',
			hook,
			'pinned',
			`/sys/fs/bpf/sendmsg-only/${program}`,
		]);
	await attach('sendmsg6', 'remember');
	await attach('recvmsg6', 'show');
	const said = await host.done([...PROGRAM, 'ask', '53', 'who', ...SIX], { cgroup: 'plain' });
	expect(JSON.parse(said)).toEqual({ answers: { [`[${SIX.at(-1)}]:53`]: 'who came to ::1' } });
});

test.each([
	['2001:db8:f::7', '[2001:db8:f::7]:53', '2001:db8:0:2::10'],
	['203.0.113.7', '203.0.113.7:53', '198.51.100.10'],
])('a socket that is connected to %s says that it is there, and hears it', async (to, shown, own) => {
	const before = scene.told.terminator.length;
	const answer = `hello came to ${to}`;
	expect(await scene.web('call', to, '53', 'hello')).toEqual({ peer: shown, address: own, answer, from: shown });
	expect(scene.told.terminator.slice(before)).toContain(opened('udp', shown));
});

test.each([0, 1, 1_232, 9_000, 60_000])('a datagram of %i bytes goes whole, and so does its answer', async (size) => {
	const text = 'x'.repeat(size);
	const { answers } = await scene.web('ask', '53', text, SIX[2]!, SIX[3]!);
	expect(Object.values(answers!).map(({ length }) => length)).toEqual([size + 22, size + 22]);
	expect(Object.keys(answers!).sort()).toEqual([`[${SIX[2]}]:53`, `[${SIX[3]}]:53`]);
});

test('flows of datagrams are seen, by where each was meant to go', async () => {
	const found = await scene.flows();
	// of a socket that is connected, or gone for two minutes, none
	expect(found).toHaveLength(2 * MANY + 10);
	const flow = { container: 'web', protocol: 'udp', source: null, proxy: 15_001, ageMs: expect.any(Number) };
	expect(found).toContainEqual({ ...flow, destination: '[2001:db8:f::c8]:53' });
	expect(found).toContainEqual({ ...flow, destination: '203.0.113.200:53' });
});

test('without a proxy a datagram is refused, or goes in clear where its policy says so', async () => {
	await scene.turn('2001:db8:f::2/128', 53, '--protocol', 'udp', '--fail', 'open');
	await scene.killForward();
	expect(await scene.web('ask', '53', 'who', SIX[0]!)).toEqual({ answers: {}, errors: ['EPERM'] });
	expect(await scene.web('call', SIX[0]!, '53', 'who')).toEqual({ error: 'EPERM' });
	const before = scene.told.terminator.filter((line) => line.includes('open')).length;
	expect(await scene.web('ask', '53', 'who', SIX[1]!)).toEqual({
		answers: { [`[${SIX[1]}]:53`]: `who came to ${SIX[1]}` },
	});
	expect(scene.told.terminator.filter((line) => line.includes('open'))).toHaveLength(before);
});

test('a proxy whose cgroup was made anew is told again, once its policy is added again', async () => {
	await scene.host.done(['rmdir', '/sys/fs/cgroup/proxy']);
	const { code, stdout } = await scene.host.pathproof('net', 'check');
	expect([code, stdout.match(/^✗ .*$/gm)]).toEqual([
		1,
		['accepted', 'original', 'heard4', 'heard6', 'answer4', 'answer6'].map(
			(name) => `✗ web: tls_${name} on its proxy's cgroup`,
		),
	]);
	await scene.startForward();
	await scene.turn('2001:db8:f::/48', 53, '--protocol', 'udp');
	expect(await scene.done('net', 'check')).toBe('all is as it should be\n');
	const { answers } = await scene.web('ask', '53', 'who', SIX[0]!);
	expect(answers).toEqual({ [`[${SIX[0]}]:53`]: `who came to ${SIX[0]}` });
});

test('who sends to the proxy by himself reaches nobody', async () => {
	scene.host.spawn([...PROGRAM, 'ask', '15001', 'who', '::1']);
	await eventually(() => expect(scene.told.forward.at(-1)).toContain('came by itself, and was not turned here'));
});

test('the address of the aliases goes with the last policy of datagrams', async () => {
	const route = () => scene.host.done(['ip', '-6', 'route', 'show', 'table', 'local', '100::/64']);
	expect(await route()).toMatch(/^local 100::\/64 dev lo /);
	expect(await scene.done('net', 'check')).toBe('all is as it should be\n');
	expect(await scene.done('net', 'upgrade')).toBe('the programs of this host are those of this pathproof already\n');
	await scene.done('net', 'rm', 'web');
	expect(await route()).toBe('');
});
