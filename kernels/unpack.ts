/** Debian's kernel packages laid out in one way, whatever the series: `vmlinuz`, `config`, and modules that any kmod finds. */
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { PathproofError } from './errors.ts';

/** Where a package keeps a part, `$R` standing for the release; the first that is there is taken. */
const PLACES = {
	// Beside the modules from 7.2 on.
	vmlinuz: ['boot/vmlinuz-$R', 'usr/lib/modules/$R/vmlinuz', 'lib/modules/$R/vmlinuz'],
	config: ['boot/config-$R', 'usr/lib/modules/$R/config', 'lib/modules/$R/config'],
	// Below /usr from 6.16 on.
	modules: ['usr/lib/modules/$R', 'lib/modules/$R'],
};

/**
 * Unpacks `debs` into `dir`: `vmlinuz`, `config` where the packages have it (7.2 keeps it elsewhere), and with `modules` `usr/lib/modules/RELEASE`, to which `lib` links, since Debian
 * 12's kmod looks in `lib/modules` alone. All else in the packages is left out. Throws stage `unpack`.
 */
export async function unpackKernel(debs: string[], release: string, dir: string, modules: boolean): Promise<void> {
	const whole = join(dir, '.unpack');
	mkdirSync(whole);
	for (const deb of debs) await run('dpkg-deb', ['--extract', deb, whole], deb);
	take('vmlinuz', whole, release, join(dir, 'vmlinuz'), debs);
	takeIfThere('config', whole, release, join(dir, 'config'));
	if (modules) {
		mkdirSync(join(dir, 'usr/lib/modules'), { recursive: true });
		take('modules', whole, release, modulesDir(dir, release), debs);
		symlinkSync('usr/lib', join(dir, 'lib'));
		await indexModules(dir, release);
	}
	rmSync(whole, { recursive: true });
}

export function modulesDir(root: string, release: string): string {
	return join(root, 'usr/lib/modules', release);
}

/** Makes modules.dep and its kin where the package does not bring them; Debian's leave that to the installation. */
export async function indexModules(root: string, release: string): Promise<void> {
	if (existsSync(join(modulesDir(root, release), 'modules.dep'))) return;
	await run('depmod', ['-b', root, release], modulesDir(root, release));
}

function take(part: keyof typeof PLACES, from: string, release: string, to: string, debs: string[]): void {
	if (takeIfThere(part, from, release, to)) return;
	throw new PathproofError(`no ${part} in ${debs.join(' ')}: looked for ${places(part, release).join(', ')}`, {
		stage: 'unpack',
		hint: 'Debian has changed the layout of its kernel packages: add it to PLACES in kernels/unpack.ts',
	});
}

function takeIfThere(part: keyof typeof PLACES, from: string, release: string, to: string): boolean {
	const place = places(part, release).find((candidate) => existsSync(join(from, candidate)));
	if (place) renameSync(join(from, place), to);
	return place !== undefined;
}

function places(part: keyof typeof PLACES, release: string): string[] {
	return PLACES[part].map((place) => place.replace('$R', release));
}

async function run(command: string, args: string[], what: string): Promise<void> {
	// depmod is in /sbin, which is on no ordinary user's PATH.
	const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
	try {
		await execa(command, args, { env });
	} catch (cause) {
		const { stderr, code } = cause as { stderr?: string; code?: string };
		throw new PathproofError(`${command} failed on ${what}: ${stderr || code}`, {
			stage: code === 'ENOENT' ? 'setup' : 'unpack',
			hint: code === 'ENOENT' ? 'npx pathproof doctor --fix' : 'run it again; if it fails again, rm -r the cache',
			cause,
		});
	}
}
