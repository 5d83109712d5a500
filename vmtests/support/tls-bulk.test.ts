/**
 * 100 MB each way of a container's, by programs that nobody here wrote: too much for an emulated CPU, so it is this machine's own kernel
 * that turns them. vmtests/tls has the same programs, and others, in guests.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { lacksPrivateHost } from '../../impl/tls/private-host.ts';
import { eventually } from '../../impl/tls/scene.ts';
import { opened, TurnedScene } from '../../impl/tls/turned-scene.ts';
import { debianPrograms } from './debian-programs.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each takes some seconds

const BYTES = 100e6;
const lacks = lacksPrivateHost();
const programs = await debianPrograms('curl', 'nginx');
const folder = mkdtempSync(join(tmpdir(), 'pathproof-bulk-'));
const [here, sent] = [join(folder, 'www'), join(folder, 'sent')];
beforeAll(() => {
	mkdirSync(here);
	writeFileSync(sent, randomBytes(BYTES));
	writeFileSync(
		join(folder, 'nginx.conf'),
		`
daemon off;
master_process off;
user root;
pid ${folder}/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_max_body_size 0;
	${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n\t')}
	server {
		listen [::]:80;
		http2 on;
		location / { root ${here}; dav_methods PUT; }
	}
}
`,
	);
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

async function checksum(path: string): Promise<string> {
	const hash = createHash('sha256');
	await once(
		createReadStream(path).on('data', (chunk) => hash.update(chunk)),
		'end',
	);
	return hash.digest('hex');
}

describe.for([
	{ what: 'an identity', device: null },
	{ what: 'a netns', device: 'veth' },
] as const)('of $what', ({ device }) => {
	test.for([
		['1.1', '--http1.1'],
		['2', '--http2-prior-knowledge'],
	] as const)('curl puts 100 MB by HTTP/%s, and gets them back, byte for byte', async ([version, asked]) => {
		await using scene = await TurnedScene.make({ device });
		await scene.turn('2001:db8:f::/48', 80);
		const name = `${device}-${version}`;
		const nginx = programs('/usr/sbin/nginx');
		const errors: string[] = [];
		const server = scene.host.spawn([...nginx, '-e', 'stderr', '-c', join(folder, 'nginx.conf')], { netns: 'peer' });
		server.stderr!.on('data', (bytes) => errors.push(String(bytes)));
		const curl = (...words: string[]) => {
			const say = '%{remote_ip} %{local_ip} %{http_version} %{http_code} %{size_upload} %{size_download}';
			const argv = [...programs('/usr/bin/curl'), '-sS', '--max-time', '250', asked, '-w', say, ...words];
			return scene.host.run([...argv, `http://[2001:db8:f::1]/${name}`], scene.place);
		};
		await eventually(async () => {
			const { stdout } = await scene.host.run(['ss', '-Hlnt', 'sport = :80'], { netns: 'peer' });
			expect([stdout, errors]).toEqual([expect.stringContaining(':80 '), []]);
		});
		const got = join(folder, 'got');
		const ends = `2001:db8:f::1 2001:db8:0:2::10 ${version}`;
		expect(await curl('-T', sent)).toEqual({ code: 0, stdout: `${ends} 201 ${BYTES} 0`, stderr: '' });
		expect(await curl('-o', got)).toEqual({ code: 0, stdout: `${ends} 200 0 ${BYTES}`, stderr: '' });
		const expected = await checksum(sent);
		expect([await checksum(join(here, name)), await checksum(got)]).toEqual([expected, expected]);
		expect(scene.told.terminator.filter((line) => line === opened('tcp', '[2001:db8:f::1]:80'))).toHaveLength(2);
		rmSync(join(here, name));
	});
});
