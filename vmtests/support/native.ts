/** C programs of fixtures/ for the guest: static, so that they need nothing there, and start where each instruction counts. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findClang } from '../../bpf/build.ts';
import { explained } from './build.ts';

const run = promisify(execFile);

/** The path is relative to the working directory. Throws a PathproofError (`setup`) that quotes the compiler. */
export async function buildNative(path: string): Promise<Uint8Array> {
	const dir = await mkdtemp(join(tmpdir(), 'pathproof-native-'));
	const out = join(dir, 'program');
	try {
		// clang's package brings libc6-dev, and with it libc.a
		await run(await explained(findClang()), ['-O2', '-static', '-Wall', '-Wextra', '-Werror', path, '-o', out]);
		return await readFile(out);
	} finally {
		await rm(dir, { recursive: true });
	}
}
