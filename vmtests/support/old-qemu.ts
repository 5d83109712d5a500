/** The QEMU that pathproof refuses: Debian 12's own 7.2, fetched and verified by apt, unpacked beside the machine's. */
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { entry, keyOf } from '../../kernels/cache.ts';
import { writeAptConfig } from '../../kernels/debian.ts';

/** Absolute path of the folder that holds its `qemu-system-x86_64`. It runs where bookworm's libraries are. */
export async function oldQemu(): Promise<string> {
	using unpacked = await entry('old-qemu', keyOf('bookworm', 'qemu-system-x86'), async (dir) => {
		const apt = join(dir, 'apt');
		const env = { APT_CONFIG: await writeAptConfig(apt, { suites: ['bookworm'] }) };
		await execa('apt-get', ['-qq', 'update'], { env });
		// The version is named by its suite: the machine may have a newer one installed.
		await execa('apt-get', ['-qq', 'download', 'qemu-system-x86/bookworm'], { env, cwd: apt });
		const deb = readdirSync(apt).find((name) => name.endsWith('.deb'))!;
		await execa('dpkg-deb', ['--extract', join(apt, deb), join(dir, 'root')]);
		await rm(apt, { recursive: true });
	});
	return join(unpacked.dir, 'root/usr/bin');
}
