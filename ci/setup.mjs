/**
 * What `npm start` and `npm test` do first, on whichever Node the machine has (from 18 on): bring `node_modules` in line with
 * the lock, then let the pinned Node, which came with it, see to the machine. Warm, it reads two files and needs no network.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const node = join(root, 'node_modules/.bin/node');
// Kept inside node_modules, so that deleting the one deletes the other.
const stamp = join(root, 'node_modules/.pathproof-lock');

/** What node_modules is made of: the lock, and the machine whose binaries npm chose. */
function wanted() {
	const lock = readFileSync(join(root, 'package-lock.json'));
	return `${createHash('sha256').update(lock).digest('hex')} ${process.platform} ${process.arch}\n`;
}

/** Answers the exit status. */
function run(command, args) {
	const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
	if (error) fail(`${command}: ${error.message}`);
	if (signal) process.kill(process.pid, signal);
	return status;
}

function fail(why) {
	console.error(`pathproof: ${why}`);
	process.exit(69);
}

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted()) {
	console.error('pathproof: node_modules differs from package-lock.json: npm install');
	// Never `npm ci`, which refuses the lock where a package for another platform is gone from the registry. Quiet, because the
	// packages' engines name the pinned Node and not the one that runs npm. --no-save: an older npm must not rewrite the lock.
	const flags = ['--no-save', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
	if (run('npm', ['install', ...flags]) !== 0) fail('npm install failed; what it said is above');
	if (!existsSync(node)) fail(`no Node is pinned for ${process.platform} on ${process.arch}: Linux on x64 is needed`);
	writeFileSync(stamp, wanted());
}
process.exitCode = run(node, [join(root, 'ci/prepare.ts')]) ?? 69;
