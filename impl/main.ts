/** `pathproof net` standing alone, without the framework around it: what a guest has. */
import { Command } from 'commander';
import { tellError } from './command-line.ts';
import { register } from './commands.ts';

export async function main(words: readonly string[]): Promise<void> {
	const program = new Command('pathproof')
		.description(
			'The datapath on this host. Its tests, and all other commands, are on the machine that runs this guest.',
		)
		.showHelpAfterError('try: pathproof net --help')
		.exitOverride();
	register(program);
	try {
		await program.parseAsync([...words], { from: 'user' });
	} catch (error) {
		process.exitCode = tellError(error, words.includes('--json'));
	}
}
