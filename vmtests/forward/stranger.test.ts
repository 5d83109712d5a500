import { expect, path, test } from 'pathproof';
import { turn } from '../support/turns.ts';

const STRANGER = 'fixtures/stranger.bpf.c';

test("a stranger's program of 20 lines is loaded, traced and judged like one of ours", turn(2), async ({ lab }) => {
	const { web, peer } = await lab({ setup: ({ load }) => load(STRANGER, { device: 'web' }) });
	const discarded = await web.udp(peer, 9, { listen: false });
	expect(discarded).toTraverse('host:web ingress[discard_nine → drop]');
	expect(discarded.out[0]).toMatchObject({ delivered: false });

	const passed = await web.udp(peer, 53);
	expect(passed).toFollowPath(
		path`web:eth0 xmit, …, host:web ingress[discard_nine → pass], …, host ip6 forward, host:eth0 xmit, peer:eth0 receive, peer udp deliver`,
	);
});

test('detached again, it is no longer on the way', turn(0), async ({ lab }) => {
	const { web, peer, detach } = await lab({ setup: ({ load }) => load(STRANGER, { device: 'web' }) });
	expect(await web.udp(peer, 9, { listen: false })).toTraverse('host:web ingress[discard_nine]');
	await detach('discard_nine');
	expect(await web.udp(peer, 9)).not.toTraverse('host:web ingress[discard_nine]');
});

test('a program that the verifier refuses is refused with the words of the verifier', turn(1), async ({ lab }) => {
	const { load } = await lab();
	await expect(load('fixtures/refused.bpf.c', { device: 'web' })).rejects.toThrow(
		/refused: the kernel does not load it[\s\S]*invalid access to packet/,
	);
});
