/** Doing each of several things, whatever becomes of the others. */
import { DatapathError } from './errors.ts';

/** One after the other. `done`: those that did not throw; `errors`: what the others threw. */
export async function tryEach<T>(
	all: readonly T[],
	act: (one: T) => Promise<void> | void,
): Promise<{ done: T[]; errors: unknown[] }> {
	const done: T[] = [];
	const errors: unknown[] = [];
	for (const one of all)
		try {
			await act(one);
			done.push(one);
		} catch (error) {
			errors.push(error);
		}
	return { done, errors };
}

/** One as it is, several as one DatapathError that has the words of all. */
export function throwAll(errors: readonly unknown[], hint: string): void {
	if (errors.length === 1) throw errors[0];
	if (!errors.length) return;
	const log = errors.map((error) => (error instanceof Error ? error.message : String(error))).join('\n');
	throw new DatapathError(`${errors.length} things could not be done`, {
		log,
		hint,
		cause: new AggregateError(errors),
	});
}
