/** The datapath of a later pathproof, for upgrades: fixtures/newer. */
import type { Vm } from '../../kernels/vm.ts';
import { buildProgram } from '../support/build.ts';

const FOLDER = '/run/pathproof/newer';

/** Puts its objects into the guest, and answers the environment in which `pathproof net` is that later one. */
export async function newerPrograms(vm: Vm): Promise<{ PATHPROOF_BPF: string }> {
	for (const name of ['redirect', 'ipvlan'])
		await vm.writeFile(`${FOLDER}/${name}.bpf.o`, await buildProgram(`fixtures/newer/${name}.bpf.c`));
	return { PATHPROOF_BPF: FOLDER };
}
