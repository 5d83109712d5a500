#!/usr/bin/env node
/** The command line. Each command lives beside its subject, in a module that exports `register`, and is loaded only when it is called. */
import { Command } from 'commander';
import packageJson from './package.json' with { type: 'json' };

interface CommandModule {
	/** Adds one command to the program, bearing the name of its row in `COMMANDS`. */
	register(program: Command): void;
}

interface CommandRow {
	name: string;
	/** what `pathproof --help` says of it */
	summary: string;
	load(): Promise<CommandModule>;
}

const COMMANDS: CommandRow[] = [
	{
		name: 'doctor',
		summary: 'what this machine has and lacks, each lack with the command that mends it',
		load: () => import('./ci/doctor.ts'),
	},
	{
		name: 'kernels',
		summary: 'the kernels that can be had: list, fetch, pin',
		load: () => import('./kernels/commands.ts'),
	},
	{
		name: 'tour',
		summary: 'boot a kernel, build labs, send real traffic, show the paths it took',
		load: () => import('./vmtests/support/tour/command.ts'),
	},
	{
		name: 'test',
		summary: "the suites, on the kernels of a selector; takes vitest's own arguments",
		load: () => import('./vmtests/support/commands.ts'),
	},
	{
		name: 'shell',
		summary: "a shell in a forked VM, with a lab up; --from resumes a failed test's",
		load: () => import('./vmtests/support/shell.ts'),
	},
	{
		name: 'trace',
		summary: 'one stimulus, and the path it took',
		load: () => import('./vmtests/support/trace-command.ts'),
	},
	{
		name: 'diff',
		summary: 'two paths, from two kernels or two devices, side by side',
		load: () => import('./vmtests/support/diff-command.ts'),
	},
	{
		name: 'perf',
		summary: "the devices' table: what a transaction costs, in guest instructions",
		load: () => import('./vmtests/support/perf-command.ts'),
	},
	{
		name: 'bench',
		summary: 'what the machinery itself costs: a boot, a fork, a traced packet',
		load: () => import('./vmtests/support/bench-command.ts'),
	},
	{
		name: 'net',
		summary: 'the datapath on this very host: containers, added, shown, checked, removed',
		load: () => import('./impl/commands.ts'),
	},
];

async function main(argv: string[]): Promise<void> {
	const program = new Command('pathproof')
		.description(packageJson.description)
		.version(packageJson.version)
		.showHelpAfterError('try: pathproof --help')
		.exitOverride();
	const word = argv.find((word) => !word.startsWith('-') && word !== 'help');
	const called = COMMANDS.find(({ name }) => name === word);
	if (called) (await called.load()).register(program);
	else for (const { name, summary } of COMMANDS) program.command(name).description(summary);
	await program.parseAsync(argv, { from: 'user' });
}

/** Says what went wrong, on stderr, or as the one document on stdout where `--json` asks for it; answers the exit code. */
async function report(error: unknown, json: boolean): Promise<number> {
	// Not imported above: --help needs none of it.
	const [{ PathproofError }, { tellError }] = await Promise.all([
		import('./kernels/errors.ts'),
		import('./impl/command-line.ts'),
	]);
	if (!(error instanceof PathproofError)) return tellError(error, json);
	const { shortMessage, ...details } = error.toJSON();
	if (json) console.log(JSON.stringify({ schema: 1, error: { ...details, message: shortMessage } }));
	else console.error(`pathproof: ${error.message}`);
	return error.exitCode;
}

// A reader that stops reading (`| head`) is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code !== 'EPIPE') throw error;
	process.exit();
});

const words = process.argv.slice(2);
const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
try {
	await main(words);
} catch (error) {
	process.exitCode = await report(error, own.includes('--json'));
}
