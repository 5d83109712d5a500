import { expect, test } from 'vitest';
import { containerOf } from './identity.ts';

const of = (subjectAltName: string | undefined, domain = 'pathproof') => containerOf({ subjectAltName }, domain);

test('a certificate names its container by its one URI', () => {
	expect(of('URI:spiffe://pathproof/container/web')).toBe('web');
	expect(of('DNS:host.example, URI:spiffe://pathproof/container/db-1')).toBe('db-1');
	expect(of('URI:spiffe://prod.example/container/web', 'prod.example')).toBe('web');
});

test('a certificate that could be read in two ways names none', () => {
	for (const names of [
		undefined,
		'DNS:web',
		'URI:spiffe://pathproof/container/web, URI:spiffe://pathproof/container/db',
		'URI:spiffe://elsewhere/container/web',
		'URI:spiffe://pathproof/host/web',
		'URI:spiffe://pathproof/container/web/more',
		'URI:spiffe://pathproof/container/a-name-too-long-',
		'URI:https://pathproof/container/web',
		'DNS:"x, URI:spiffe://pathproof/container/web"',
	])
		expect(() => of(names), names).toThrow('the certificate names no container of pathproof');
});
