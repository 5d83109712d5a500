/** The walk-through of the README, pasted into the shell that it is meant for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'pathproof';
import { HOME } from '../support/payload.ts';

/** What is to be pasted: the one block of shell commands that begins with a container. */
function walkThrough(): string {
	const readme = readFileSync(join(HOME, 'README.md'), 'utf8');
	const blocks = Array.from(readme.matchAll(/```sh\n(?<commands>[^`]+)```/g), ({ groups }) => groups!.commands!);
	return blocks.find((block) => block.startsWith('pathproof net add'))!;
}

test('the walk-through of the README works as pasted', async ({ kernel }) => {
	const { stdout, stderr } = await execa(join(HOME, 'ci/pathproof'), ['shell', '--kernel', kernel.request], {
		reject: false,
		env: { VITEST: undefined, NO_COLOR: '1' },
		input: `${walkThrough()}\necho end of the walk`,
	});
	const said = stdout.split('\n').map((line) => line.trimEnd());
	expect(said).toContain('db is there');
	expect(
		said.filter((line) => line.startsWith('1 packets transmitted')).map((line) => /\d received/.exec(line)?.[0]),
	).toEqual(['1 received', '0 received', '0 received']);
	expect(stdout).toMatch(/ 1 FOREIGN_TENANT\n/);
	expect(stdout).toMatch(/ 1 SPOOFED_SOURCE\n/);
	expect(stdout).toContain('try:     ip -n db addr add 2001:db8:0:2::20/128 dev eth0');
	expect(said).toContain('ip link del dev db');
	expect(said.slice(-2)).toEqual(['db, web are gone', 'end of the walk']);
	expect(stderr).not.toMatch(/not found|has a bug/);
});
