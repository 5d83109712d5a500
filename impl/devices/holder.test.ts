import { expect, test } from 'vitest';
import { holderCommands, holderName, isHolder } from './holder.ts';

const eth0 = {
	name: 'hold.2',
	uplink: 'eth0',
	device: 'ipvlan-l2',
	addresses: ['2001:db8:0:1::1', '192.0.2.1'],
} as const;
const wanted = [{ ...eth0, addresses: [...eth0.addresses] }];

test("the host's addresses are held by a slave of each uplink that is never set up", () => {
	expect(holderCommands(wanted, null)).toEqual({
		host: [
			'netns add pathproof.hold',
			'link add link eth0 name hold.2 netns pathproof.hold type ipvlan mode l2 private',
		],
		inside: ['addr add 2001:db8:0:1::1/128 dev hold.2 nodad', 'addr add 192.0.2.1/32 dev hold.2'],
		netns: [],
	});
});

test('what is held follows the addresses that the host has', () => {
	const held = new Map([['hold.2', ['2001:db8:0:1::1', '2001:db8:0:1::7']]]);
	expect(holderCommands(wanted, held)).toEqual({
		host: [],
		inside: ['addr del 2001:db8:0:1::7/128 dev hold.2', 'addr add 192.0.2.1/32 dev hold.2'],
		netns: [],
	});
	expect(holderCommands(wanted, new Map([['hold.2', [...eth0.addresses]]]))).toEqual({
		host: [],
		inside: [],
		netns: [],
	});
});

test('a slave that nobody needs goes, and the netns with the last', () => {
	const held = new Map([
		['hold.2', [...eth0.addresses]],
		['hold.3', []],
	]);
	expect(holderCommands(wanted, held)).toEqual({ host: [], inside: ['link del dev hold.3'], netns: [] });
	expect(holderCommands([], held)).toEqual({
		host: [],
		inside: ['link del dev hold.2', 'link del dev hold.3'],
		netns: ['netns del pathproof.hold'],
	});
	expect(holderCommands([], null)).toEqual({ host: [], inside: [], netns: [] });
});

test('what a kernel gives each netns by itself holds nothing', () => {
	expect(['lo', 'sit0', 'ip6tnl0', 'tunl0', 'gre0', holderName(2), holderName(17)].filter(isHolder)).toEqual([
		'hold.2',
		'hold.17',
	]);
});

test('a netns that was begun and never made is deleted first', () => {
	expect(holderCommands(wanted, 'half made').host).toEqual([
		'netns del pathproof.hold',
		'netns add pathproof.hold',
		'link add link eth0 name hold.2 netns pathproof.hold type ipvlan mode l2 private',
	]);
	expect(holderCommands([], 'half made')).toEqual({ host: ['netns del pathproof.hold'], inside: [], netns: [] });
});
