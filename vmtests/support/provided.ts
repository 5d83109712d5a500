/** What vitest's main process hands to the tests of a kernel's project. */
import type { Kernel } from '../../kernels/kernel.ts';

/** The kernel of a project: what can be known of it before it is fetched. */
export type KernelName = Pick<Kernel, 'id' | 'series' | 'version' | 'release' | 'flavour' | 'tier'>;

export interface ProvidedKernel extends KernelName {
	/** what the pool is asked for: the id, or the path of a build tree */
	request: string;
}

declare module 'vitest' {
	interface ProvidedContext {
		pathproofKernel: ProvidedKernel;
		/** all kernels of the run, in its order */
		pathproofKernels: ProvidedKernel[];
		/** path of the pool's socket */
		pathproofPool: string;
	}
}
