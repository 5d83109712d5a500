/** What a test can write of its traces when nothing failed. What a failure leaves: vmtests/bad-days/evidence.test.ts. */
import { mkdtempDisposable, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'pathproof';

test('the evidence of a lab is written on request, and its guest goes on', async ({ lab }) => {
	const { web, peer, evidence } = await lab({ device: 'veth', forward: 'stack' });
	await using dir = await mkdtempDisposable(join(tmpdir(), 'pathproof-evidence-'));
	const first = await web.udp(peer, 53);
	await evidence(dir.path);
	const fields = async () => {
		const words = ['-r', join(dir.path, 'path.pcapng'), '-T', 'fields', '-e', 'frame.comment'];
		return (await execa('tshark', words)).stdout.split('\n');
	};
	expect(await fields()).toHaveLength(first.packets[0]!.hops.length);
	expect(await readFile(join(dir.path, 'missing.txt'), 'utf8')).toBe(
		'reproduce.sh: the guest is not kept: it is lost, or the test has not failed\n',
	);

	const second = await web.udp(peer, 53);
	await evidence(dir.path);
	expect(await fields()).toHaveLength(first.packets[0]!.hops.length + second.packets[0]!.hops.length);
	expect((await readdir(dir.path)).sort()).toEqual([
		'bpftool.json',
		'console.log',
		'dmesg.txt',
		'events.jsonl',
		'missing.txt',
		'path.json',
		'path.pcapng',
		'path.txt',
	]);
});
