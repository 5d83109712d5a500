import { describe, expect, test } from 'vitest';
import { labOptions } from './lab.ts';
import { meantDevice, parseLab, usualForward } from './lab-words.ts';

describe('a lab on the command line', () => {
	for (const [text, words] of [
		['netkit/redirect', { device: 'netkit', forward: 'redirect' }],
		['ipvlan/native', { device: 'ipvlan', forward: 'native' }],
		['ipvlan-l3s/native', { device: 'ipvlan-l3s', forward: 'native' }],
		['none/native', { device: 'none', forward: 'native' }],
		['veth/fib', { device: 'veth', forward: 'fib' }],
		['netkit-l2/redirect-egress', { device: 'netkit-l2', forward: 'redirect-egress' }],
	] as const)
		test(`is ${text}`, () => expect(parseLab(text)).toEqual(words));

	for (const [text, message] of [
		['none/redirect', /none has no forward redirect[\s\S]*use native/],
		['ipvlan/stack', /ipvlan has no forward stack[\s\S]*use native/],
		['veth/native', /veth has no forward native[\s\S]*use stack, redirect, fib, redirect-egress/],
		['bridge/stack', /"bridge\/stack" is no lab/],
		['veth/stack/more', /"veth\/stack\/more" is no lab/],
		['veth', /"veth" is no lab/],
	] as const)
		test(`is not ${text}`, () => {
			expect(() => parseLab(text)).toThrow(message);
			expect(() => parseLab(text)).toThrow(expect.objectContaining({ stage: 'usage' }));
		});
});

test('without a word of the way, it is past the host wherever there is one', () => {
	expect(usualForward('netkit')).toBe('redirect');
	expect(usualForward('ipvlan')).toBe('native');
	expect(usualForward('none')).toBe('native');
});

test('netkit and ipvlan mean the mode that is used most', () => {
	expect(meantDevice('netkit')).toBe('netkit-l3');
	expect(meantDevice('ipvlan')).toBe('ipvlan-l2');
	expect(meantDevice('netkit-l2')).toBe('netkit-l2');
});

test('a lab of a test is refused for the same pairs, before a guest is booted', () => {
	expect(() => labOptions({ device: 'ipvlan', forward: 'redirect' }, 'full')).toThrow(
		/ipvlan-l2 has no forward redirect/,
	);
	expect(labOptions({ device: 'ipvlan' }, 'full')).toEqual({ device: 'ipvlan-l2', forward: 'native', wire: 'veth' });
});
