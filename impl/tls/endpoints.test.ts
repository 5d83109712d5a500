import { expect, test } from 'vitest';
import { Allowed, formatEndpoint, parseEndpoint, parseUdpPath, plainAddress, udpPath } from './endpoints.ts';

test('a destination is written as HTTP has it, and read back', () => {
	const six = { address: '2001:db8:f::1', port: 443 };
	const four = { address: '198.51.100.1', port: 53 };
	expect(formatEndpoint(six)).toBe('[2001:db8:f::1]:443');
	expect(formatEndpoint(four)).toBe('198.51.100.1:53');
	for (const endpoint of [six, four]) expect(parseEndpoint(formatEndpoint(endpoint))).toEqual(endpoint);
});

test('the path of CONNECT-UDP is the default template of RFC 9298, with the colons of an address escaped', () => {
	expect(udpPath({ address: '192.0.2.6', port: 443 })).toBe('/.well-known/masque/udp/192.0.2.6/443/');
	expect(udpPath({ address: '2001:db8::42', port: 443 })).toBe('/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/');
	expect(parseUdpPath('/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/')).toEqual({
		address: '2001:db8::42',
		port: 443,
	});
});

test('what is no address and port is no destination', () => {
	for (const text of [
		'example.com:443',
		'[fe80::1%eth0]:443',
		'[::1]:0',
		'[::1]:65536',
		'::1:443',
		'[::1]',
		'10.0.0.256:1',
		'',
	])
		expect(() => parseEndpoint(text), text).toThrow(`${text} is no destination`);
	for (const path of [
		'/',
		'/.well-known/masque/udp/example.com/53/',
		'/.well-known/masque/udp/%E0%A4%A/53/',
		'/x/udp/::1/53/',
	])
		expect(() => parseUdpPath(path), path).toThrow(`${path} is no destination`);
});

test('an address has one spelling', () => {
	expect(plainAddress('2001:DB8:0:0::0001')).toBe('2001:db8::1');
	expect(plainAddress('::ffff:c633:6401')).toBe('198.51.100.1');
	expect(plainAddress('fe80::1%eth0')).toBe(null);
});

test('what may be reached is what lies in a prefix, and nothing else', () => {
	const allowed = new Allowed(['2001:db8:f::/48', '198.51.100.0/24']);
	const permits = (text: string) => allowed.permits(parseEndpoint(text));
	expect(['[2001:db8:f:ffff::1]:1', '198.51.100.255:1', '[::ffff:198.51.100.7]:1'].map(permits)).toEqual([
		true,
		true,
		true,
	]);
	expect(['[2001:db8:10::1]:1', '198.51.101.0:1', '[::1]:1', '127.0.0.1:1'].map(permits)).toEqual(Array(4).fill(false));
	expect(new Allowed([]).permits({ address: '::1', port: 1 })).toBe(false);
	for (const prefix of ['2001:db8::', '198.51.100.0/33', 'all/0'])
		expect(() => new Allowed([prefix])).toThrow(`${prefix} is no prefix`);
});
