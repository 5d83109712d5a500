/** `pathproof doctor`: what this machine has and lacks, each lack with what mends it. */
import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { knownAccel } from '../kernels/accel.ts';
import { cacheDir } from '../kernels/cache.ts';
import { debianMirrors } from '../kernels/debian.ts';
import { formatBytes, freeBytes } from '../kernels/disk.ts';
import { PathproofError } from '../kernels/errors.ts';
import type { DoctorDocument } from '../vmtests/support/schema/machine.ts';
import { type Examination, examine } from './examine.ts';
import { setUp } from './install.ts';
import { remedy, type Verdict } from './judge.ts';

export function register(program: Command): void {
	program
		.command('doctor')
		.summary('what this machine has and lacks, each lack with the command that mends it')
		.description(
			'Say what this machine has and lacks, each lack with the command that mends it. Exits with 69 where something is lacking.',
		)
		.option('--fix', 'install what is lacking')
		.option('--json', 'print one JSON document')
		.action(doctor);
}

async function doctor({ fix, json }: { fix?: boolean; json?: boolean }): Promise<void> {
	let examination = await examine();
	if (fix && examination.lacking.length > 0) {
		await setUp(examination);
		examination = await examine();
	}
	const conditions = await thisMachine(examination);
	if (json) console.log(JSON.stringify(toDocument(examination, conditions)));
	else print(examination, conditions);
	if (examination.lacking.length > 0) process.exitCode = 69;
}

/** What is neither there nor lacking, but shapes what pathproof can do here. */
type Condition = DoctorDocument['conditions'][number];

/** The kernels, the root and the templates of the default kernels fit in this; see README. */
const ROOMY = 8e9;

async function thisMachine({ verdicts }: Examination): Promise<Condition[]> {
	const cache = cacheDir();
	const free = freeBytes(cache);
	const qemu = verdicts.find(({ tool }) => tool.name === 'QEMU')?.found?.version;
	return [
		{
			name: 'cache',
			state: `${formatBytes(free)} free`,
			note: free < ROOMY ? `${cache}: less than ${formatBytes(ROOMY)}; PATHPROOF_CACHE puts it elsewhere` : cache,
			good: free >= ROOMY,
		},
		await accelerator(qemu ?? ''),
		await mirrors(),
	];
}

async function accelerator(qemu: string): Promise<Condition> {
	const known = await knownAccel(qemu);
	if (!known)
		return { name: 'KVM', state: 'not proved', note: 'the first boot tells whether it works here', good: true };
	return { name: 'KVM', state: known.accel === 'kvm' ? 'works' : 'not used', note: known.because, good: true };
}

async function mirrors(): Promise<Condition> {
	try {
		const { main, security } = await debianMirrors();
		return { name: 'Debian mirrors', state: 'known', note: `${main} ${security}`, good: true };
	} catch (error) {
		if (!(error instanceof PathproofError)) throw error;
		return { name: 'Debian mirrors', state: 'unknown', note: `${error.shortMessage}; ${error.hint}`, good: false };
	}
}

/** The document of `--json`. */
function toDocument({ system, verdicts, lacking }: Examination, conditions: Condition[]): DoctorDocument {
	return {
		schema: 1,
		ok: lacking.length === 0,
		system:
			typeof system === 'string'
				? { name: system, known: false }
				: { name: system.name, known: !system.refusal, tried: system.tried },
		tools: verdicts.map(({ tool, found, problem }) => ({
			name: tool.name,
			use: tool.use,
			needed: tool.atLeast?.version ?? null,
			because: tool.atLeast?.because ?? null,
			found: found?.version ?? null,
			path: found?.path ?? null,
			ok: !problem,
			problem: problem ?? null,
			mend: problem ? remedy(system, tool) : null,
		})),
		conditions,
	};
}

function print({ system, verdicts, lacking }: Examination, conditions: Condition[]): void {
	const table = new Table({
		chars: BORDERLESS,
		style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
	});
	table.push(...verdicts.map((verdict) => toolRow(system, verdict)));
	table.push(...conditions.map(({ name, state, note, good }) => [mark(good ? 'good' : 'poor'), name, state, note]));
	console.log(typeof system === 'string' ? system : system.name);
	console.log(table.toString().replace(/ +$/gm, ''));
	if (typeof system !== 'string' && system.refusal) console.log(system.refusal);
	else if (lacking.length > 0) console.log('try: npx pathproof doctor --fix');
}

function toolRow(system: Examination['system'], { tool, found, problem }: Verdict): string[] {
	const need = tool.atLeast ? `≥ ${tool.atLeast.version}, ${tool.use}` : tool.use;
	if (!problem) return [mark('good'), tool.name, found?.version ?? 'here', need];
	return [mark('lacking'), tool.name, found?.version ?? 'lacking', `${tool.use}: ${problem}\n${remedy(system, tool)}`];
}

/** cli-table3 draws a frame where it is not told of each part that it is empty. */
const BORDERLESS = Object.fromEntries(
	['top', 'bottom', 'left', 'right', 'mid']
		.flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])
		.concat('left-mid', 'mid-mid', 'right-mid', 'middle')
		.map((part) => [part, '']),
) as NonNullable<Table.TableConstructorOptions['chars']>;

function mark(kind: 'good' | 'poor' | 'lacking'): string {
	const [colour, sign] = ({ good: ['green', '✓'], poor: ['yellow', '!'], lacking: ['red', '✗'] } as const)[kind];
	return styleText(colour, sign);
}
