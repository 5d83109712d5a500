/** The programs of fixtures/workloads in a guest. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Vm } from '../../../kernels/vm.ts';
import { buildNative } from '../native.ts';
import { HOME } from '../payload.ts';

const GUEST = 'vmtests/support/guest/workload.ts';

type ProgramName = 'rr' | 'syscalls' | 'calls';

/** Each is compiled once per worker. */
const built = new Map<ProgramName, Promise<Uint8Array>>();

/**
 * Answers its path there. It is sent packed: QEMU hands the guest's port 4 KiB at a time, and in a fork that has just begun the 880 kB of
 * `rr` as they are took up to 4 s of a busy machine.
 */
export async function installProgram(vm: Vm, name: ProgramName): Promise<string> {
	const path = `/run/workloads/${name}`;
	if (!built.has(name)) built.set(name, pack(name));
	await vm.use<typeof import('../guest/workload.ts')>(GUEST).unpackProgram(path, await built.get(name)!);
	return path;
}

async function pack(name: ProgramName): Promise<Uint8Array> {
	return gzipSync(await buildNative(join(HOME, `fixtures/workloads/${name}.c`)), { level: 9 });
}
