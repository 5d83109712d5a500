/**
 * The justified skip: the running kernel is asked, and a test is passed over only where the kernel lacks what it needs *and* is known to.
 * A kernel that ought to have a feature and lacks it fails the test: that is how a regression shows.
 */
import type { TestContext } from 'vitest';
import { askFeatures } from '../../kernels/ask.ts';
import type { PoolClient } from '../../kernels/client.ts';
import { PathproofError } from '../../kernels/errors.ts';
import { type Claim, FEATURES, type FeatureName, featureClaim } from '../../kernels/features.ts';
import type { Kernel } from '../../kernels/kernel.ts';
import type { ProvidedKernel } from './provided.ts';

export interface Requirer {
	pool: PoolClient;
	kernel: ProvidedKernel;
	skip: TestContext['skip'];
}

/** Of one feature, in the running kernel: null where it is there, else what the kernel said. */
type Lack = string | null;

interface Asked {
	kernel: Kernel;
	lacks: Map<FeatureName, Promise<Lack>>;
}

/** By kernel: each is asked for a feature once per worker. */
const asked = new Map<string, Asked>();

/** Answers the function that a test calls first: `await requires('netkit', 'tcx')`. */
export function requirer({ pool, kernel, skip }: Requirer): (...features: FeatureName[]) => Promise<void> {
	return async (...features) => {
		if (!features.length) return;
		const unasked = features.filter((feature) => !asked.get(kernel.request)?.lacks.has(feature));
		if (unasked.length) await ask(pool, kernel.request, unasked);
		const { kernel: running, lacks } = asked.get(kernel.request)!;
		const notes: string[] = [];
		for (const feature of features) {
			const said = await lacks.get(feature)!;
			if (said !== null) notes.push(excuse(running, feature, said, featureClaim(running, feature)));
		}
		if (notes.length) skip(notes.join('; '));
	};
}

async function ask(pool: PoolClient, request: string, features: FeatureName[]): Promise<void> {
	await using vm = await pool.fork({ kernel: request });
	const found = askFeatures(vm, features);
	const known = asked.get(request) ?? { kernel: vm.kernel, lacks: new Map() };
	for (const feature of features) {
		const lack = found.then((findings) => (findings[feature]!.has ? null : findings[feature]!.said));
		lack.catch(() => known.lacks.delete(feature)); // told to who awaits it; the next test asks again
		known.lacks.set(feature, lack);
	}
	asked.set(request, known);
	await found;
}

/** The note of a skip. Throws where no skip is due: the kernel is claimed to have what it lacks. */
export function excuse(
	kernel: Pick<Kernel, 'id'>,
	feature: FeatureName,
	said: string,
	{ claim, because }: Claim,
): string {
	if (claim === 'lacks') return `linux ${kernel.id} lacks ${feature}: ${because}`;
	throw new PathproofError(
		`linux ${kernel.id} ought to have ${feature} (${FEATURES[feature].what}) and lacks it: ${because}; it said ${said}`,
		{
			stage: 'call',
			kernel: kernel.id,
			hint: `pathproof kernels features ${kernel.id}, and a bisection where it once had it`,
		},
	);
}
