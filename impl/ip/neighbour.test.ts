import { expect, test } from 'vitest';
import { neighbourCommand, neighbourRequest } from './neighbour.ts';

const mac = '02:56:78:5d:1a:2f';

test('a neighbour is asked for in the bytes that rtnetlink wants', () => {
	const words = (bytes: Buffer) => bytes.toString('hex').replace(/(.{8})(?=.)/g, '$1 ');
	expect(words(neighbourRequest({ address: '2001:db8:0:2::10', mac }, 7))).toBe(
		'3c000000 1c000506 00000000 00000000 0a000000 07000000 80000000 14000100 20010db8 00000002 00000000 00000010 0a000200 0256785d 1a2f0000',
	);
	expect(words(neighbourRequest({ address: '198.51.100.10', mac }, 7))).toBe(
		'30000000 1c000506 00000000 00000000 02000000 07000000 80000000 08000100 c633640a 0a000200 0256785d 1a2f0000',
	);
});

test('the same is typed after ip', () => {
	expect(neighbourCommand({ address: '198.51.100.10', mac, device: 'web' })).toBe(
		'neigh add 198.51.100.10 lladdr 02:56:78:5d:1a:2f dev web nud permanent',
	);
});
