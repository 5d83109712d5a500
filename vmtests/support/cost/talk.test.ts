import { expect, test } from 'vitest';
import { talkShare } from './talk.ts';

const over = (device: 'ipvlan-l2' | 'netkit-l2' | 'veth', forward: 'native' | 'redirect') =>
	`${(100 * (talkShare({ device, forward })!.all - 1)).toFixed(1)} %`;

test("the talk's transactions cost a per cent and a half more on ipvlan and netkit, and three on veth, by its own table", () => {
	expect(over('ipvlan-l2', 'native')).toBe('1.4 %');
	expect(over('netkit-l2', 'redirect')).toBe('1.5 %');
	expect(over('veth', 'redirect')).toBe('3.0 %');
});

test('veth has nearly seven times the softirqs of netkit there, and a forward that the talk left out has no row', () => {
	const softirq = (device: 'netkit-l2' | 'veth') => talkShare({ device, forward: 'redirect' })!.softirq;
	expect(softirq('veth') / softirq('netkit-l2')).toBeCloseTo(6.8, 1);
	expect(talkShare({ device: 'veth', forward: 'stack' })).toBeNull();
});
