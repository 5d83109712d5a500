/**
 * KVM or TCG. That /dev/kvm exists and makes a VM proves nothing: on some machines a stock kernel stops in it within a second.
 * KVM is used only after a boot has proved it here; the verdict is remembered until the host's kernel, CPU or QEMU changes.
 */
import { constants } from 'node:fs';
import { access, readFile, writeFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { entry, find, keyOf } from './cache.ts';
import { PathproofError } from './errors.ts';
import type { Accel } from './vm.ts';

export interface Verdict {
	accel: Accel;
	/** one line: why not KVM, or what proved it */
	because: string;
}

const KIND = 'accel';
const FILE = 'verdict.json';

/** Milliseconds that a boot under KVM gets to prove itself: a sound one needs two seconds. */
export const KVM_PATIENCE = 20_000;

/** The verdict without a boot; null where only a boot can tell. `PATHPROOF_ACCEL=tcg|kvm` overrules. */
export async function knownAccel(qemu: string): Promise<Verdict | null> {
	const wanted = process.env.PATHPROOF_ACCEL;
	if (wanted === 'tcg' || wanted === 'kvm') return { accel: wanted, because: `PATHPROOF_ACCEL=${wanted}` };
	if (wanted) {
		throw new PathproofError(`PATHPROOF_ACCEL=${wanted} is no accelerator`, { stage: 'usage', hint: 'kvm or tcg' });
	}
	try {
		await access('/dev/kvm', constants.R_OK | constants.W_OK);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		return { accel: 'tcg', because: `/dev/kvm: ${code === 'ENOENT' ? 'not there' : code}` };
	}
	using remembered = find(KIND, verdictKey(qemu));
	return remembered && (JSON.parse(await readFile(join(remembered.dir, FILE), 'utf8')) as Verdict);
}

/** Boot under KVM with `prove`, and remember what came of it. */
export async function proveKvm(qemu: string, prove: () => Promise<void>): Promise<Verdict> {
	using made = await entry(KIND, verdictKey(qemu), async (dir) => {
		const verdict = await prove().then(
			(): Verdict => ({ accel: 'kvm', because: 'a kernel booted with it' }),
			(error: PathproofError): Verdict => ({ accel: 'tcg', because: error.shortMessage ?? String(error) }),
		);
		await writeFile(join(dir, FILE), JSON.stringify(verdict));
	});
	return JSON.parse(await readFile(join(made.dir, FILE), 'utf8')) as Verdict;
}

const verdictKey = (qemu: string) => keyOf(release(), cpus()[0]?.model, qemu);
