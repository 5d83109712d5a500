/** Which kernel of a run has a test of many that show the same in ever another way: by default one each, with --full all. */
import { inject } from 'vitest';
import { type FeatureName, featureClaim } from '../../kernels/features.ts';
import { FULL } from './config.ts';
import type { ProvidedKernel } from './provided.ts';

/** Options of the `n`-th of such tests, which needs these features: the kernels of the run that have them take turns. */
export function turn(n: number, ...needs: readonly FeatureName[]): { tags: string[] } {
	return { tags: isTurn(inject('pathproofKernel'), inject('pathproofKernels'), n, needs) ? [] : [FULL] };
}

/** Whether the `n`-th test is this kernel's, of all those of a run. */
export function isTurn(
	kernel: ProvidedKernel,
	kernels: readonly ProvidedKernel[],
	n: number,
	needs: readonly FeatureName[],
): boolean {
	const able = kernels.filter((one) => needs.every((feature) => featureClaim(one, feature).claim !== 'lacks'));
	return able.length > 0 && able[n % able.length]!.id === kernel.id;
}
