/** The programs of fixtures/workloads in a guest. */
import { join } from 'node:path';
import type { Vm } from '../../../kernels/vm.ts';
import { buildNative } from '../native.ts';
import { HOME } from '../payload.ts';

type ProgramName = 'rr' | 'syscalls' | 'calls';

/** Each is compiled once per worker. */
const built = new Map<ProgramName, Promise<Uint8Array>>();

/** Answers its path there. */
export async function installProgram(vm: Vm, name: ProgramName): Promise<string> {
	const path = `/run/workloads/${name}`;
	if (!built.has(name)) built.set(name, buildNative(join(HOME, `fixtures/workloads/${name}.c`)));
	await vm.writeFile(path, await built.get(name)!, 0o755);
	return path;
}
