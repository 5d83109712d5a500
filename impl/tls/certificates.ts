/** The certificates of an end, from files. Nothing here judges whether one is valid: that is for the other side, with its own clock. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { DatapathError } from '../errors.ts';
import { TLS_1_3 } from './session.ts';

/** Paths of PEM files. */
export interface CertificateFiles {
	/** of this end, those of intermediate authorities behind it */
	certificate: string;
	key: string;
	/** of the authorities whose certificates are taken from the other side; no others are, not those of the system either */
	authority: string;
	/** a list of what is revoked (CRL) of each authority, one behind the other. Past its `nextUpdate` no certificate is taken. */
	revoked?: string;
}

/** What TLS needs of them; all read and put to use once, so that a bad file is found here. Throws a DatapathError naming it. */
export function readCertificates(files: CertificateFiles): SecureContextOptions {
	const cert = read('certificate', files.certificate);
	const key = read('key', files.key);
	const options = {
		...TLS_1_3,
		cert,
		key,
		ca: read('authority', files.authority),
		crl: files.revoked && read('list of revoked certificates', files.revoked),
	};
	const own = parsed('certificate', files.certificate, () => new X509Certificate(cert));
	parsed('authority', files.authority, () => new X509Certificate(options.ca));
	const pair = parsed('key', files.key, () => createPrivateKey(key));
	if (!own.checkPrivateKey(pair))
		throw new DatapathError(`the key in ${files.key} is not that of the certificate in ${files.certificate}`, {
			hint: 'write both before they are read again: the key alone is of no use',
		});
	parsed('list of revoked certificates', files.revoked ?? files.authority, () => createSecureContext(options));
	return options;
}

function read(what: string, path: string): Buffer {
	try {
		return readFileSync(path);
	} catch (error) {
		throw new DatapathError(`the ${what} cannot be read: ${(error as Error).message}`, { cause: error });
	}
}

function parsed<T>(what: string, path: string, parse: () => T): T {
	try {
		return parse();
	} catch (error) {
		throw new DatapathError(`the ${what} in ${path} is none: ${(error as Error).message}`, {
			hint: `PEM is wanted: head -1 ${path}`,
			cause: error,
		});
	}
}
