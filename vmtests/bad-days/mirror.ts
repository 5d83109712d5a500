/** A mirror on loopback with a kernel package of its own, that can be told to have a bad day. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import type { CatalogueEntry } from '../../kernels/kernel.ts';

export interface Request {
	path: string;
	/** first byte asked for */
	from: number;
}

export interface BadDay {
	/** close the connection after so many bytes of each answer */
	cutAfter?: number;
	/** alter one byte of this many answers */
	tamper?: number;
	/** have only so many bytes of the file */
	truncateTo?: number;
	/** send in pieces of so many bytes, ten a second */
	trickle?: number;
	/** paths that are not there: those that contain this */
	lacks?: string;
}

export interface Mirror extends AsyncDisposable {
	/** base URI, as $PATHPROOF_DEBIAN_MIRROR takes it */
	uri: string;
	requests: Request[];
	day: BadDay;
}

/** Serves `file` under every path that ends in `.deb`. */
export async function serveMirror(file: string): Promise<Mirror> {
	const whole = readFileSync(file);
	const mirror = { requests: [] as Request[], day: {} as BadDay };
	const server = createServer((request, response) => {
		const { day } = mirror;
		const path = request.url ?? '';
		const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
		mirror.requests.push({ path, from });
		if (!path.endsWith('.deb') || (day.lacks && path.includes(day.lacks))) return void response.writeHead(404).end();
		let body = Buffer.from(whole.subarray(0, day.truncateTo));
		if (from >= body.length) return void response.writeHead(416).end();
		if (day.tamper) {
			day.tamper--;
			body[body.length - 100]! ^= 1;
		}
		const range = `bytes ${from}-${body.length - 1}/${body.length}`;
		body = body.subarray(from);
		response.writeHead(from > 0 ? 206 : 200, {
			'content-length': body.length,
			...(from > 0 ? { 'content-range': range } : {}),
		});
		if (day.cutAfter && day.cutAfter < body.length)
			response.write(body.subarray(0, day.cutAfter), () => response.socket?.end());
		else if (day.trickle) trickle(body, day.trickle);
		else response.end(body);

		function trickle(rest: Buffer, bytes: number): void {
			if (rest.length === 0 || response.destroyed) return void response.end();
			response.write(rest.subarray(0, bytes));
			setTimeout(() => trickle(rest.subarray(bytes), bytes), 100);
		}
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`;
	return Object.assign(mirror, {
		uri,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			server.close();
			await once(server, 'close');
		},
	});
}

/** A real package of a kernel that is none: 2 MB that do not compress, built by dpkg-deb into `dir`. */
export async function buildPackage(dir: string): Promise<{ deb: string; kernel: CatalogueEntry }> {
	const release = '6.12.999+deb13-cloud-amd64';
	const tree = join(dir, 'tree');
	for (const name of ['DEBIAN', 'boot', `lib/modules/${release}/kernel`])
		mkdirSync(join(tree, name), { recursive: true });
	const name = `linux-image-${release}`;
	const control = `Package: ${name}\nVersion: 6.12.999-1\nArchitecture: amd64\nMaintainer: nobody <nobody@localhost>\nDescription: none\n`;
	writeFileSync(join(tree, 'DEBIAN/control'), control);
	writeFileSync(join(tree, `boot/vmlinuz-${release}`), randomBytes(2_000_000));
	for (const index of ['modules.order', 'modules.builtin'])
		writeFileSync(join(tree, `lib/modules/${release}`, index), '');
	const deb = join(dir, 'kernel.deb');
	await execa('dpkg-deb', ['--build', '--root-owner-group', '-Znone', tree, deb]);
	const bytes = readFileSync(deb);
	const one = {
		name,
		version: '6.12.999-1',
		suite: 'trixie-security',
		size: bytes.length,
		sha256: createHash('sha256').update(bytes).digest('hex'),
		filename: `pool/updates/main/l/linux-signed-amd64/${name}_6.12.999-1_amd64.deb`,
	};
	const kernel: CatalogueEntry = {
		...{ id: '6.12.999', series: '6.12', version: '6.12.999', release },
		...{ flavour: 'cloud', tier: 'full', suite: one.suite, packages: [one] },
	};
	return { deb, kernel };
}
