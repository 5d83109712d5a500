import { expect, test } from 'vitest';
import { matchBytes, policyBytes, readPolicy, type TlsPolicy, tlsPolicy } from './policies.ts';

const six: TlsPolicy = { protocol: 'tcp', to: '2001:db8:f::/48', port: 443, proxy: 15_001, fail: 'closed' };

test('a policy is a row of a trie: prefix length, port, protocol, version, container, address', () => {
	expect(matchBytes(0x1234n, six).toString('hex')).toBe(
		`90000000${'01bb'}${'06'}${'06'}3412000000000000${'20010db8000f00000000000000000000'}`,
	);
	const four = { ...six, to: '203.0.113.0/24', port: null };
	expect(matchBytes(0x1234n, four).toString('hex')).toBe(
		`d8000000${'0000'}${'06'}${'04'}3412000000000000${'00000000000000000000ffffcb007100'}`,
	);
	expect(policyBytes(six).toString('hex')).toBe('3a99000000000000');
	expect(policyBytes({ ...six, fail: 'open' }).toString('hex')).toBe('3a99000001000000');
});

test('what is read of a row is what was written', () => {
	for (const policy of [
		six,
		{ ...six, to: '203.0.113.0/24', port: null, fail: 'open' as const },
		{ ...six, to: '::/0' },
	])
		expect(readPolicy(matchBytes(7n, policy), policyBytes(policy))).toEqual({ owner: 7n, ...policy });
});

test('bits behind a prefix are left out of it', () => {
	expect(tlsPolicy({ ...six, to: '2001:DB8:F:1::9/47' }).to).toBe('2001:db8:e::/47');
	expect(tlsPolicy({ ...six, to: '203.0.113.77/25' }).to).toBe('203.0.113.0/25');
});

test.each([
	[{ to: '2001:db8:f::' }, '2001:db8:f:: is no prefix'],
	[{ to: '203.0.113.0/33' }, '203.0.113.0/33 is no prefix'],
	[{ to: 'server.example/48' }, 'server.example/48 is no prefix'],
	[{ port: 65_536 }, '65536 is no port'],
	[{ proxy: 0 }, '0 is no port of a proxy'],
	[{ fail: 'slow' as 'open' }, '"slow" is no way to fail'],
])('%o is refused', (wrong, said) => {
	expect(() => tlsPolicy({ ...six, ...wrong })).toThrow(said);
});
