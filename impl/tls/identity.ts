/**
 * Whose flow it is: the certificate of a forward proxy names the container it speaks for, as the one URI among its alternative names.
 *
 *     spiffe://pathproof/container/web
 *
 * That is the form of a SPIFFE ID (github.com/spiffe/spiffe, X509-SVID): proxies nobody here wrote match on it as it stands, it has a
 * place for the domain whose authority vouches for the name, and its rule of exactly one URI leaves no second name to pick from.
 */
import type { X509Certificate } from 'node:crypto';
import { DatapathError } from '../errors.ts';

const CONTAINER = /^spiffe:\/\/([a-z0-9._-]{1,255})\/container\/([A-Za-z0-9_][A-Za-z0-9_-]{0,14})$/;

/** The container's name; throws a DatapathError where it names none of `trustDomain`. That it is genuine is the TLS handshake's to say. */
export function containerOf(certificate: Pick<X509Certificate, 'subjectAltName'>, trustDomain: string): string {
	const wanted = `spiffe://${trustDomain}/container/NAME`;
	const names = certificate.subjectAltName ?? '';
	// Node quotes a name that holds a comma or a quote, such as `URI:spiffe://…, URI:…` in one: no identity has those.
	const uris = names.includes('"') ? [] : names.split(', ').filter((name) => name.startsWith('URI:'));
	const [, domain, container] = (uris.length === 1 && CONTAINER.exec(uris[0]!.slice(4))) || [];
	if (container && domain === trustDomain) return container;
	throw new DatapathError(
		`the certificate names no container of ${trustDomain}: ${names || 'it has no alternative name'}`,
		{
			hint: `one with the single URI ${wanted}; openssl x509 -noout -ext subjectAltName -in FILE shows what it has`,
		},
	);
}
