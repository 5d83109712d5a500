/** `pathproof diff`: two paths, from two kernels or two devices, side by side. */
import { existsSync, readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { PathproofError } from '../../kernels/errors.ts';
import type { ComparableTrace } from './diff.ts';
import { type LabWords, parseLab } from './lab-words.ts';
import { STIMULI } from './stimuli.ts';

interface Options {
	stimulus: string;
	json?: boolean;
}

/** Exit codes beside those of every command: as diff(1) has them. */
const DIFFERENT = 1;

export function register(program: Command): void {
	const stimuli = Object.entries(STIMULI).map(([name, { what }]) => `${name} (${what})`);
	program
		.command('diff')
		.description(
			'Show two paths side by side, each direction for itself, with the first difference marked. Exits with 0 where they are the same, with 1 where they are not.',
		)
		.argument(
			'<a>',
			'KERNEL/DEVICE/FORWARD, e.g. 6.12/veth/stack; or a file that `pathproof trace --json` wrote, - for stdin',
		)
		.argument('<b>', 'the same for the other')
		.addOption(
			new Option('--stimulus <stimulus>', `what is sent in a lab: ${stimuli.join(', ')}`)
				.choices(Object.keys(STIMULI))
				.default('ping'),
		)
		.option('--json', 'print one JSON document: fixtures/schemas/diff.json')
		.action(diff);
}

async function diff(a: string, b: string, { stimulus, json }: Options): Promise<void> {
	const sides = [parseSide(a), parseSide(b)] as const;
	// Not imported above: --help needs none of it.
	const [{ diffTraces }, { toTerminal }] = await Promise.all([import('./diff.ts'), import('./tour/line.ts')]);
	const [left, right] = await tracesOf(sides, stimulus);
	const { document, lines } = diffTraces(left!, right!);
	if (json) console.log(JSON.stringify(document));
	else for (const line of lines) console.log(toTerminal(line));
	if (!document.same) process.exitCode = DIFFERENT;
}

interface FileSide {
	file: string;
}

interface LabSide {
	kernel: string;
	lab: LabWords;
}

const STDIN = '-';

/** Throws stage `usage` for what is neither a file nor a lab. */
function parseSide(text: string): FileSide | LabSide {
	if (text === STDIN || existsSync(text)) return { file: text };
	// A kernel may be a path itself.
	const words = text.split('/');
	if (words.length < 3)
		throw new PathproofError(`"${text}" is neither a file nor a lab`, {
			stage: 'usage',
			hint: 'KERNEL/DEVICE/FORWARD, e.g. 6.12/veth/stack, or what `pathproof trace --json` wrote',
		});
	return { kernel: words.slice(0, -2).join('/'), lab: parseLab(words.slice(-2).join('/')) };
}

async function tracesOf(sides: readonly (FileSide | LabSide)[], stimulus: string): Promise<ComparableTrace[]> {
	const [{ readTrace, toComparable }, { chooseKernel, Session }, { toTraceDocument }] = await Promise.all([
		import('./diff.ts'),
		import('./session.ts'),
		import('./trace-document.ts'),
	]);
	const isFile = (side: FileSide | LabSide) => 'file' in side;
	// Files are read, and wrong words found, before a guest is booted.
	const ready = await Promise.all(
		sides.map(async (side) =>
			isFile(side)
				? readTrace(readFileSync(side.file === STDIN ? process.stdin.fd : side.file, 'utf8'), side.file)
				: { ...side, kernel: await chooseKernel(side.kernel) },
		),
	);
	await using session = sides.every(isFile) ? null : await Session.open();
	const traced: ComparableTrace[] = [];
	for (const side of ready) {
		if ('packets' in side) {
			traced.push(side);
			continue;
		}
		const lab = await session!.lab(side.kernel, side.lab);
		const name = `linux ${side.kernel.id} ${lab.state.options.device} ${lab.state.options.forward}`;
		traced.push(toComparable(toTraceDocument(lab, await STIMULI[stimulus]!.send(lab)), name));
	}
	return traced;
}
