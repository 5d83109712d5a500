/** From a selector to the kernels of vitest's projects: quick and without a network, for what the lock pins. */
import type { CatalogueEntry, Kernel } from '../../kernels/kernel.ts';
import { resolveKernels } from '../../kernels/pull.ts';
import type { ProvidedKernel } from './provided.ts';

export const DEFAULT_KERNELS = 'default';

/** What `pathproof test --kernel` set, or whoever runs vitest by itself. */
export function askedSelector(): string {
	return process.env.PATHPROOF_KERNEL || DEFAULT_KERNELS;
}

export async function selectKernels(selector: string): Promise<ProvidedKernel[]> {
	return (await resolveKernels(selector)).map(provided);
}

function provided(kernel: CatalogueEntry | Kernel): ProvidedKernel {
	const { id, series, version, release, flavour, tier } = kernel;
	return { request: requestOf(kernel), id, series, version, release, flavour, tier };
}

/** Of a user's own kernel, its files: its id is no selector. */
function requestOf(kernel: CatalogueEntry | Kernel): string {
	if (!('vmlinuz' in kernel)) return kernel.id;
	return kernel.kdir ?? `${kernel.vmlinuz}:${kernel.modulesRoot ?? ''}`;
}
