import type { TestContext } from 'vitest';
import type { Forks } from './forks.ts';
import type { ProvidedKernel } from './provided.ts';

export interface Requirer {
	forks: Forks;
	kernel: ProvidedKernel;
	skip: TestContext['skip'];
}

export function requirer({
	kernel,
	skip,
}: Requirer): (...features: ('modules' | 'veth' | 'netkit')[]) => Promise<void> {
	return async (...features) => {
		if ((features.includes('modules') || features.includes('veth')) && kernel.tier === 'image')
			skip(`linux ${kernel.id} lacks modules: its package is gone`);
	};
}
