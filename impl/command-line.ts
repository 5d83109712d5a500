/** How a command ends that failed: what is said of it, and the exit status. */
import { CommanderError } from 'commander';
import { DatapathError } from './errors.ts';

/** 0: it holds; 1: it failed for its own reason; 2: the call is wrong; 69 (EX_UNAVAILABLE): the machine lacks something. */
const EXIT = { failed: 1, usage: 2, lacking: 69 } as const;

/** On stderr, or as the one document on stdout where `--json` asks for it. Answers the exit status. */
export function tellError(error: unknown, json: boolean): number {
	const print = (details: object) => json && console.log(JSON.stringify({ schema: 1, error: details }));
	if (error instanceof CommanderError) {
		if (error.exitCode === 0) return 0;
		print({ stage: 'usage', message: error.message.replace(/^error: /, ''), hint: 'pathproof --help' });
		return EXIT.usage; // commander has said why
	}
	if (error instanceof DatapathError) {
		const { shortMessage: message, hint, log, usage, lacking } = error;
		print({ stage: usage ? 'usage' : lacking ? 'setup' : 'call', message, hint, log });
		if (!json) console.error(`pathproof: ${error.message}`);
		return usage ? EXIT.usage : lacking ? EXIT.lacking : EXIT.failed;
	}
	const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
	print({ stage: 'internal', message: stack });
	console.error(`pathproof has a bug, or met what nobody foresaw:\n${stack}`);
	return EXIT.failed;
}
