import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lacksPrivateHost } from './private-host.ts';
import { PROGRAM, TurnedScene } from './turned-scene.ts';

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

const opened = (destination: string) =>
	`{"event":"open","container":"web","protocol":"tcp","destination":"${destination}","refusal":null}`;

test('what no policy is about goes as it is', async () => {
	const { answer } = await scene.web('talk', '2001:db8:f::1', '80', 'hello');
	expect(answer).toBe(`hello came to [2001:db8:f::1]:80 from ${WEB}`);
});

test.each([
	['2001:db8:f::1', '[2001:db8:f::1]:443', WEB],
	['203.0.113.1', '203.0.113.1:443', '198.51.100.10'],
])('a program that connects to %s reaches it over TLS', async (to, shown, own) => {
	const { peer, address, answer } = await scene.web('talk', to, '443', 'hello');
	expect([peer, address]).toEqual([shown, own]);
	expect(answer).toBe(`hello came to ${shown} from ${shown.replace(/^\[?(.*?)\]?:443$/, '$1')}`);
	expect(scene.told.terminator).toContain(opened(shown));
});
