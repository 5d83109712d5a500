/** Which QEMU is sound. */
import { execa } from 'execa';
import { PathproofError } from './errors.ts';

/** QEMU 7.2, Debian 12's own, corrupts guest memory with two CPUs under TCG: half of the boots panic. 10.0 booted every time. */
export const OLDEST_QEMU = 10;

/** `10.0.2` from `QEMU emulator version 10.0.2 (Debian …)`; null where it is not QEMU that speaks. */
export function parseQemuVersion(output: string): string | null {
	return /^QEMU emulator version (\d+(?:\.\d+)+)/m.exec(output)?.[1] ?? null;
}

/** The version of a QEMU binary. Throws stage `setup` where it is older than OLDEST_QEMU. */
export async function soundQemu(binary: string): Promise<string> {
	const { stdout } = await execa(binary, ['--version'], { stdin: 'ignore' }).catch((cause) => {
		throw new PathproofError(`${binary} does not run`, { stage: 'setup', hint: 'npx pathproof doctor --fix', cause });
	});
	const version = parseQemuVersion(stdout);
	if (version && Number.parseInt(version, 10) >= OLDEST_QEMU) return version;
	throw new PathproofError(
		`${binary} is QEMU ${version ?? '(unknown)'}: below ${OLDEST_QEMU}, TCG corrupts the memory of a guest with two CPUs`,
		{ stage: 'setup', hint: 'npx pathproof doctor --fix, or put a newer QEMU first on the PATH' },
	);
}
