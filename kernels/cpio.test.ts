import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, onTestFinished, test } from 'vitest';
import { device, directory, file, link, treeEntries, withFolders, writeCpio } from './cpio.ts';

function scratch(): string {
	const dir = mkdtempSync(join(tmpdir(), 'pathproof-cpio-'));
	onTestFinished(() => rmSync(dir, { recursive: true }));
	return dir;
}

test('cpio reads what we write', async () => {
	const dir = scratch();
	const entries = withFolders([
		file('init', '#!/bin/sh\n', 0o755),
		link('bin/sh', 'busybox'),
		device('dev/console', 5, 1),
		file('odd', 'abc'),
	]);
	writeCpio(join(dir, 'a.cpio'), entries);
	const { stdout } = await execa('busybox', ['cpio', '-t', '-v', '-F', join(dir, 'a.cpio')]);
	expect(stdout.split('\n').map((line) => line.replace(/ +/g, ' ').replace('1970-01-01 00:00:00 ', ''))).toEqual([
		'-rwxr-xr-x 0/0 10 init',
		'drwxr-xr-x 0/0 0 bin',
		'lrwxrwxrwx 0/0 0 bin/sh -> busybox',
		'drwxr-xr-x 0/0 0 dev',
		'crw------- 0/0 0 dev/console',
		'-rw-r--r-- 0/0 3 odd',
	]);
});

test('the same content makes the same bytes, and a tree survives the way', async () => {
	const dir = scratch();
	writeCpio(join(dir, 'a.cpio'), withFolders([directory('x'), file('x/y', 'why'), link('x/z', 'y')]));
	mkdirSync(join(dir, 'tree'));
	await execa('busybox', ['cpio', '-i', '-F', '../a.cpio'], { cwd: join(dir, 'tree') });
	writeCpio(join(dir, 'b.cpio'), treeEntries(join(dir, 'tree')));
	expect(readFileSync(join(dir, 'b.cpio')).equals(readFileSync(join(dir, 'a.cpio')))).toBe(true);
});
