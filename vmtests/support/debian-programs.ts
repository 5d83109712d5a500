/** Debian's programs for tests on the host, which may have none or others: unpacked with all that they are linked to, not installed. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { entry, keyOf } from '../../kernels/cache.ts';
import { SUITE, unpackDebian } from '../../kernels/root.ts';

/** The dynamic loader of this machine's architecture, and the folder of its libraries. */
const ABI = {
	x64: { loader: 'ld-linux-x86-64.so.2', libraries: 'x86_64-linux-gnu' },
	arm64: { loader: 'ld-linux-aarch64.so.1', libraries: 'aarch64-linux-gnu' },
};

/** Finds a program by its path, such as `/usr/bin/curl`, and answers what to type before its arguments. */
export type Programs = (path: string) => [program: string, ...words: string[]];

/** Throws as `guestRoot` does. */
export async function debianPrograms(...packages: string[]): Promise<Programs> {
	const make = async (dir: string) => {
		await mkdir(join(dir, 'root'));
		await unpackDebian('extract', packages, dir, join(dir, 'root'));
	};
	const what = `${packages.join(', ')} of Debian ${SUITE}`;
	using unpacked = await entry('programs', keyOf(SUITE, packages), make, { what });
	const root = join(unpacked.dir, 'root');
	const { loader, libraries } = ABI[process.arch as keyof typeof ABI];
	const folder = join(root, 'usr/lib', libraries);
	return (path) => [join(folder, loader), '--library-path', folder, join(root, path)];
}
