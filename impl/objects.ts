/** Where the built BPF objects are: PATHPROOF_BPF, else beside their sources. */
import { join } from 'node:path';

const BESIDE_SOURCES = join(import.meta.dirname, '../bpf');

/** `name` without a suffix: `redirect` is `redirect.bpf.o`. */
export function bpfObjectPath(name: string): string {
	return join(process.env.PATHPROOF_BPF ?? BESIDE_SOURCES, `${name}.bpf.o`);
}
