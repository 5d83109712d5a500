import { expect, test } from 'vitest';
import { event, hop, packet } from './sample.ts';
import { isMissing, whyNotDelivered } from './why.ts';

test('a packet that the kernel dropped has its reason, its function and what the reason means', () => {
	const drop = event('kfree_skb', {
		kind: 'drop',
		netns: 'peer',
		device: 'eth0',
		reason: 'NO_SOCKET',
		function: '__udp6_lib_rcv',
	});
	const dropped = packet([hop('peer:eth0 receive'), hop('drop NO_SOCKET')], { events: [drop] });
	expect(whyNotDelivered(dropped)).toEqual({
		where: 'peer:eth0',
		reason: 'NO_SOCKET',
		function: '__udp6_lib_rcv',
		meaning: 'no socket is bound to its address and port; the sender is told by ICMP or RST',
	});
});

test('before 5.17, where there are no reasons, it has the function alone', () => {
	const drop = event('kfree_skb', {
		kind: 'drop',
		netns: 'host',
		device: null,
		reason: 'ip6_forward',
		function: 'ip6_forward',
	});
	expect(whyNotDelivered(packet([hop('drop ip6_forward')], { events: [drop] }))).toEqual({
		where: 'host',
		reason: 'ip6_forward',
		function: 'ip6_forward',
		meaning: null,
	});
});

test('one that fell to an XDP program was dropped by that', () => {
	const program = hop('host:eth0 ingress', { device: 'eth0', attach: 'xdp', program: 'wall', verdict: 'drop' });
	expect(whyNotDelivered(packet([program], { fate: 'dropped' }))).toEqual({
		where: 'host:eth0',
		reason: null,
		function: null,
		meaning: 'the program that ran last dropped it',
	});
});

test('one that nobody saw end is not said to be dropped', () => {
	const sent = hop('web:eth0 xmit', { device: 'eth0' });
	expect(whyNotDelivered(packet([sent]))).toEqual({
		where: 'web:eth0',
		reason: null,
		function: null,
		meaning: 'nothing that is watched says where it went',
	});
});

test.each([
	['delivered', false],
	['dropped', true],
	['queued', true],
	['segmented', false],
	['merged', false],
	['unexplained', true],
] as const)('a packet that is %s is missing: %s', (fate, missing) => {
	expect(isMissing({ fate })).toBe(missing);
});
