/** For tests: an authority of one's own, made by openssl at run time in a folder that goes with it. Nothing of it is ever committed. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CertificateFiles } from './certificates.ts';

/** What a certificate says: the alternative names as openssl writes them, and the two ends of its time as `ca` takes them. */
interface Wanted {
	names: string;
	usage?: 'clientAuth' | 'serverAuth';
	from?: string;
	until?: string;
}

export const containerCertificate = (name: string): Wanted => ({
	names: `URI:spiffe://pathproof/container/${name}`,
	usage: 'clientAuth',
});
export const terminatorCertificate: Wanted = { names: 'IP:::1,DNS:terminator.example', usage: 'serverAuth' };

export class Authority implements Disposable {
	readonly folder = mkdtempSync(join(tmpdir(), 'pathproof-tls-'));
	readonly certificate = join(this.folder, 'authority.pem');
	/** the list of what is revoked, as it is after the last `revoke` */
	readonly revoked = join(this.folder, 'revoked.pem');
	#count = 0;

	constructor() {
		this.#write('index.txt', '');
		this.#write('crlnumber', '01\n');
		this.#write('serial', '01\n');
		this.#write('openssl.cnf', '[req]\ndistinguished_name=dn\n[dn]\n');
		this.#openssl(
			...['req', '-x509', '-config', 'openssl.cnf', ...NEW_KEY, '-keyout', 'authority.key', '-out', 'authority.pem'],
			...['-subj', '/CN=authority', '-days', '3650', '-addext', 'basicConstraints=critical,CA:true'],
		);
		this.#list();
	}

	/** The files of a new certificate and its key. */
	issue({ names, usage = 'clientAuth', from, until }: Wanted): Required<CertificateFiles> {
		const name = `end-${++this.#count}`;
		this.#openssl(
			'req',
			'-config',
			'openssl.cnf',
			...NEW_KEY,
			'-keyout',
			`${name}.key`,
			'-out',
			`${name}.csr`,
			'-subj',
			`/CN=${name}`,
		);
		this.#configure(`subjectAltName=${names}\nextendedKeyUsage=${usage}\n`);
		this.#openssl(
			...[
				'ca',
				'-batch',
				'-notext',
				'-config',
				'ca.cnf',
				'-extensions',
				'end',
				'-in',
				`${name}.csr`,
				'-out',
				`${name}.pem`,
			],
			...(from ? ['-startdate', from] : []),
			...(until ? ['-enddate', until] : []),
		);
		const path = (suffix: string) => join(this.folder, `${name}.${suffix}`);
		return { certificate: path('pem'), key: path('key'), authority: this.certificate, revoked: this.revoked };
	}

	revoke({ certificate }: CertificateFiles): void {
		this.#openssl('ca', '-config', 'ca.cnf', '-revoke', certificate);
		this.#list();
	}

	[Symbol.dispose](): void {
		rmSync(this.folder, { recursive: true });
	}

	#list(): void {
		this.#configure('');
		this.#openssl('ca', '-config', 'ca.cnf', '-gencrl', '-out', 'revoked.pem');
	}

	#configure(extensions: string): void {
		this.#write(
			'ca.cnf',
			`[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\nnew_certs_dir=.\nunique_subject=no
certificate=authority.pem\nprivate_key=authority.key\ndefault_md=sha256\ndefault_days=30\ndefault_crl_days=30\npolicy=any
[any]\ncommonName=supplied\n[end]\nbasicConstraints=CA:false\n${extensions}`,
		);
	}

	#write(name: string, text: string): void {
		writeFileSync(join(this.folder, name), text);
	}

	#openssl(...words: string[]): void {
		execFileSync('openssl', words, { cwd: this.folder, stdio: 'pipe' });
	}
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Puts what `from` names where `to` is read from: what a rotation does. */
export function replaceFiles(to: CertificateFiles, from: CertificateFiles): void {
	copyFileSync(from.certificate, to.certificate);
	copyFileSync(from.key, to.key);
}
