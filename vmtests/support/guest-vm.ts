/** What a test's guest can do beyond what the pool lends: run this repository's modules, and carry programs of the test's own. */
import type { PoolVm } from '../../kernels/client.ts';
import { bpfObjects } from './build.ts';
import { type Payload, packPayload } from './payload.ts';

let packed: Promise<Payload> | undefined;

/** Packed once per worker. */
export function payload(): Promise<Payload> {
	packed ??= packPayload(bpfObjects);
	return packed;
}

/** `vm.use('impl/…')` finds its modules: they are installed on the first use. */
export function equip(vm: PoolVm): PoolVm {
	vm.providePayload(async () => (await payload()).files);
	return vm;
}
