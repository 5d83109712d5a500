import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lacksPrivateHost } from './private-host.ts';
import { FOUR, MANY, opened, PROGRAM, SIX, TurnedScene } from './turned-scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const lacks = lacksPrivateHost();
let scene: TurnedScene;
beforeAll(async () => {
	if (lacks) return;
	scene = await TurnedScene.make({ many: MANY, device: 'veth' });
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

test.each([
	['2001:db8:f::7', '[2001:db8:f::7]:53', '2001:db8:0:2::10'],
	['203.0.113.7', '203.0.113.7:53', '198.51.100.10'],
])('a socket that is connected to %s says that it is there, and hears it', async (to, shown, own) => {
	const answer = `hello came to ${to}`;
	expect(await scene.web('call', to, '53', 'hello')).toEqual({ peer: shown, address: own, answer, from: shown });
	expect(scene.told.terminator).toContain(opened('udp', shown));
});

test.each([0, 1, 1_232, 9_000, 60_000])('a datagram of %i bytes goes whole, and so does its answer', async (size) => {
	const text = 'x'.repeat(size);
	for (const [one, other] of [
		[`[${SIX[2]}]`, `[${SIX[3]}]`],
		[FOUR[2], FOUR[3]],
	]) {
		const plain = (address: string) => address.replace(/[[\]]/g, '');
		const { answers } = await scene.web('ask', '53', text, plain(one!), plain(other!));
		expect(Object.keys(answers!).sort()).toEqual([`${one}:53`, `${other}:53`]);
		const lengths = [one, other].map((address) => size + ` came to ${plain(address!)}`.length);
		expect(Object.values(answers!).map(({ length }) => length)).toEqual(lengths);
	}
});

test('flows of datagrams are seen, by where each was meant to go', async () => {
	const found = await scene.flows();
	expect(found).toHaveLength(2 * MANY);
	const flow = { container: 'web', protocol: 'udp', source: null, proxy: 15_001, ageMs: expect.any(Number) };
	expect(found).toContainEqual({ ...flow, destination: '[2001:db8:f::c8]:53' });
	expect(found).toContainEqual({ ...flow, destination: '203.0.113.200:53' });
});

test('without a proxy a datagram is refused as by its destination, or goes in clear where its policy says so', async () => {
	await scene.turn('2001:db8:f::2/128', 53, '--protocol', 'udp', '--fail', 'open');
	await scene.turn('203.0.113.2/32', 53, '--protocol', 'udp', '--fail', 'open');
	await scene.killForward();
	expect(await scene.web('call', SIX[0]!, '53', 'who')).toEqual({ error: 'ECONNREFUSED' });
	expect(await scene.web('call', FOUR[0]!, '53', 'who')).toEqual({ error: 'ECONNREFUSED' });
	const before = scene.told.terminator.filter((line) => line.includes('open')).length;
	expect(await scene.web('ask', '53', 'who', SIX[1]!)).toEqual({
		answers: { [`[${SIX[1]}]:53`]: `who came to ${SIX[1]}` },
	});
	expect(await scene.web('ask', '53', 'who', FOUR[1]!)).toEqual({
		answers: { [`${FOUR[1]}:53`]: `who came to ${FOUR[1]}` },
	});
	expect(scene.told.terminator.filter((line) => line.includes('open'))).toHaveLength(before);
});
