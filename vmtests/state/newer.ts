/** The datapath of a later pathproof, for upgrades: fixtures/newer; low ports, where nothing is looked up, are what they were. */
import { basename } from 'node:path';
import type { Vm } from '../../kernels/vm.ts';
import { buildProgram } from '../support/build.ts';

const FOLDER = '/run/pathproof/newer';

/** Puts its objects into the guest, and answers the environment in which `pathproof net` is that later one. */
export async function newerPrograms(vm: Vm): Promise<{ PATHPROOF_BPF: string }> {
	for (const source of ['fixtures/newer/redirect', 'fixtures/newer/ipvlan', 'fixtures/newer/identity', 'bpf/low_ports'])
		await vm.writeFile(`${FOLDER}/${basename(source)}.bpf.o`, await buildProgram(`${source}.bpf.c`));
	return { PATHPROOF_BPF: FOLDER };
}
