/** On this machine's own /run/netns, as root. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { addNetns, hasNetns, isHalfNetns, NETNS_DIR } from './netns.ts';

const NAME = `half${process.pid}`;

test('a file that no netns is mounted on is none, and is in nobody’s way', () => {
	mkdirSync(NETNS_DIR, { recursive: true });
	writeFileSync(join(NETNS_DIR, NAME), '');
	onTestFinished(() => {
		spawnSync('ip', ['netns', 'del', NAME]);
		rmSync(join(NETNS_DIR, NAME), { force: true });
	});
	expect([hasNetns(NAME), isHalfNetns(NAME)]).toEqual([false, true]);
	expect(addNetns(NAME)).toEqual([`netns del ${NAME}`, `netns add ${NAME}`]);
	expect(spawnSync('ip', ['-batch', '-'], { input: addNetns(NAME).join('\n'), encoding: 'utf8' }).stderr).toBe('');
	expect([hasNetns(NAME), isHalfNetns(NAME)]).toEqual([true, false]);
	expect(addNetns(NAME)).toEqual([`netns add ${NAME}`]);
});
