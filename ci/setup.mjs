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

/** Answers the exit status. Its words go to stderr: stdout is for what follows. */
function run(command, ...args) {
	const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: ['inherit', 2, 2] });
	if (error) fail(`${command}: ${error.message}`);
	if (signal) process.kill(process.pid, signal);
	return status;
}

function fail(why) {
	console.error(`pathproof: ${why}`);
	process.exit(69);
}

function installPackages() {
	console.error('pathproof: node_modules differs from package-lock.json: npm install');
	// Never `npm ci`, which refuses the lock where a package for another platform is gone from the registry. --no-save: an older
	// npm must not rewrite the lock. --ignore-scripts: what package.json's allowScripts says, for npms that do not know it. Quiet,
	// because the packages' engines name the pinned Node and not the one that runs npm.
	const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
	const status = run('npm', 'install', '--no-save', '--ignore-scripts', '--include=optional', ...quiet);
	if (status !== 0) fail('npm install failed; what it said is above');
	if (!existsSync(node)) fail(`no Node is pinned for ${process.platform} on ${process.arch}: Linux on x64 is needed`);
}

/** The pinned Node is linked to libatomic.so.1, which a minimal Debian lacks and the system's own Node does without. */
function makeNodeRun() {
	const { status, stderr, error } = spawnSync(node, ['--version'], { encoding: 'utf8' });
	if (status === 0) return;
	const why = (stderr || String(error)).trim();
	if (!why.includes('libatomic.so.1')) fail(`the pinned Node does not run: ${why}`);
	const mend = `${why}\ntry, as root: apt-get install libatomic1`;
	if (process.getuid() !== 0 && spawnSync('sudo', ['-V']).error) fail(mend);
	const sudo = process.getuid() === 0 ? [] : ['sudo', ...(process.stdin.isTTY ? [] : ['-n']), 'env'];
	const quiet = ['-qq', '-o=Dpkg::Use-Pty=0', '-o=DPkg::Lock::Timeout=300'];
	const apt = [...sudo, 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...quiet];
	console.error('pathproof: installing libatomic1, which the pinned Node needs');
	for (const args of [['update'], ['install', '--yes', '--no-install-recommends', 'libatomic1']]) {
		const said = spawnSync('env', [...apt, ...args], { stdio: ['inherit', 'pipe', 'pipe'], encoding: 'utf8' });
		if (said.status !== 0) fail(`${said.stdout}${said.stderr}${mend}`);
	}
}

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted()) {
	installPackages();
	makeNodeRun();
	writeFileSync(stamp, wanted());
}
process.exitCode = run(node, join(root, 'ci/prepare.ts'));
