/** What the commands of `pathproof net` share: their options, and how they tell what they do. */
import { DatapathError } from './errors.ts';

export interface Output {
	json?: boolean;
}

export interface Change extends Output {
	dryRun?: boolean;
}

export const DRY_RUN = ['--dry-run', 'change nothing, and print what would be done'] as const;
export const JSON_HELP = ['--json', 'print one JSON document'] as const;

/** The steps of a dry run and of a real one are told alike: one as it will be, one as it was. */
export async function change(
	{ json, dryRun }: Change,
	act: (how: { dryRun?: true; onStep(what: string): void }) => Promise<unknown>,
	words: { done: string; nothing: string },
): Promise<void> {
	const steps: string[] = [];
	await act({
		...(dryRun && { dryRun }),
		onStep: (what) => {
			steps.push(what);
			if (dryRun && !json) console.log(what);
		},
	});
	if (json) print({ dryRun: dryRun ?? false, changed: !dryRun && steps.length > 0, steps });
	else if (!steps.length) console.log(words.nothing);
	else if (!dryRun) console.log(words.done);
}

/** `load`: imports what acts on this host, for --help needs neither that nor root. Throws a DatapathError (`lacking`) for everybody else. */
export function asRoot<T>(load: () => Promise<T>): Promise<T> {
	if (process.geteuid?.() !== 0)
		throw new DatapathError('the network of this host is changed and looked at by root alone', {
			lacking: true,
			hint: `sudo ${['pathproof', ...process.argv.slice(2)].join(' ')}`,
		});
	return load();
}

export function example(...commands: string[]): string {
	return `\nExample:\n  ${commands.join('\n  ')}`;
}

export function print(document: object): void {
	console.log(JSON.stringify({ schema: 1, ...document }));
}
