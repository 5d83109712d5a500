/** The bounds of evidence. What is in it: vmtests/surface/evidence.test.ts, vmtests/bad-days/evidence.test.ts. */
import { mkdir, mkdtempDisposable, readdir, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { firstOf, keepNewest } from './evidence.ts';
import { event, packet } from './trace/sample.ts';

test('of folders the newest are kept, with all that is in them', async () => {
	await using dir = await mkdtempDisposable(join(tmpdir(), 'pathproof-evidence-'));
	for (const [second, name] of ['oldest', 'newer', 'newest'].entries()) {
		await mkdir(join(dir.path, name));
		await writeFile(join(dir.path, name, 'path.txt'), name);
		await utimes(join(dir.path, name), second, second);
	}
	await keepNewest(dir.path, 2);
	expect((await readdir(dir.path, { recursive: true })).sort()).toEqual([
		'newer',
		'newer/path.txt',
		'newest',
		'newest/path.txt',
	]);
});

test('of a flood of packets the first are kept, each whole', () => {
	const seen = packet([], { events: [event('ip6_output'), event('ip6_output')] });
	const flood = [seen, { ...seen }, { ...seen }];
	expect(firstOf(flood, 6)).toEqual(flood);
	expect(firstOf(flood, 5)).toEqual(flood.slice(0, 2));
	expect(firstOf(flood, 1)).toEqual([]);
});
