/** The second half of `ci/setup.mjs`, on the pinned Node: has the machine all it needs? If not, install it. */
import { PathproofError } from '../kernels/errors.ts';
import { examine } from './examine.ts';

const examination = await examine();
if (examination.lacking.length > 0) {
	const { setUp } = await import('./install.ts');
	try {
		await setUp(examination);
	} catch (error) {
		if (!(error instanceof PathproofError)) throw error;
		console.error(`pathproof: ${error.message}`);
		process.exitCode = error.exitCode;
	}
}
