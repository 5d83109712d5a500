/** What goes wrong in the datapath, told as this framework tells it: the hint comes along, and what libbpf or `ip` said. */

import { DatapathError } from '../../../impl/errors.ts';
import { PathproofError } from '../../../kernels/errors.ts';

export async function explained<T>(act: () => T | Promise<T>): Promise<T> {
	try {
		return await act();
	} catch (error) {
		if (!(error instanceof DatapathError)) throw error;
		const { shortMessage, log, hint } = error;
		const said = log?.trimEnd();
		throw new PathproofError(said ? `${shortMessage}\n${said}\n` : shortMessage, { stage: 'call', hint, cause: error });
	}
}
