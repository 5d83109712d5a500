/** Installs what a machine lacks, with its own apt, or by a private apt configuration that leaves /etc/apt as it is. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { writeAptConfig } from '../kernels/debian.ts';
import { PathproofError } from '../kernels/errors.ts';
import { describeLacks, type Examination, examine } from './examine.ts';
import { type Plan, plan, preferences } from './judge.ts';
import { thisElevation } from './probe.ts';

type Installation = Extract<Plan, { kind: 'install' }>;

/**
 * Sees to it that this machine has every tool; says what it does on stderr, and nothing where nothing is lacking.
 * Throws with stage `setup` and the whole list where it cannot install, or where a tool is lacking still.
 */
export async function setUp(before: Examination): Promise<void> {
	if (before.lacking.length === 0) return;
	const todo = plan(before.system, before.lacking, await thisElevation());
	if (todo.kind === 'refuse') {
		throw new PathproofError(`This machine lacks what pathproof needs:\n${describeLacks(before)}\n${todo.because}`, {
			stage: 'setup',
			hint: todo.hint,
		});
	}
	console.error(announce(todo));
	const start = performance.now();
	await install(todo);
	console.error(`pathproof: installed in ${Math.round((performance.now() - start) / 1000)} s`);

	const after = await examine();
	if (after.lacking.length === 0) return;
	throw new PathproofError(`Installed, and still lacking:\n${describeLacks(after)}`, {
		stage: 'setup',
		hint: 'see whether another version comes first on the PATH, then: npx pathproof doctor',
	});
}

/** What is about to be installed, from where and what for. */
function announce({ system, packages, sudo }: Installation): string {
	const how = [sudo && 'with sudo', system.suites && 'by a private apt configuration: /etc/apt stays as it is'];
	const lines = packages.map(({ name, suite, tools }) => {
		return `  ${name}${suite ? ` from ${suite}` : ''}${tools.includes(name) ? '' : ` for ${tools.join(', ')}`}`;
	});
	return [`pathproof: installing on ${[system.name, ...how].filter(Boolean).join(', ')}`, ...lines].join('\n');
}

async function install({ system, packages, sudo }: Installation): Promise<void> {
	const dir = await mkdtemp(join(tmpdir(), 'pathproof-apt-'));
	try {
		const config = system.suites
			? await writeAptConfig(dir, { suites: system.suites, preferences: preferences(system) })
			: undefined;
		await apt(['update'], config, sudo);
		await apt(['install', '--yes', '--no-install-recommends', ...packages.map(({ name }) => name)], config, sudo);
	} finally {
		// apt's lists in it may be root's.
		if (sudo) await execa('sudo', ['rm', '-rf', dir]);
		else await rm(dir, { recursive: true, force: true });
	}
}

/** Runs apt-get: before the reader's eyes on a terminal, elsewhere quietly, with what it said in the error. */
async function apt(args: string[], config: string | undefined, sudo: boolean): Promise<void> {
	const terminal = process.stderr.isTTY;
	const words = aptCommand(args, { config, sudo, quiet: !terminal });
	const { failed, all } = await execa(words[0]!, words.slice(1), {
		stdin: 'inherit',
		...(terminal ? { stdout: process.stderr, stderr: 'inherit' } : {}),
		all: true,
		reject: false,
	});
	if (!failed) return;
	throw new PathproofError(
		`${words.join(' ')} failed${all ? `:\n${all.trim().split('\n').slice(-20).join('\n')}` : ''}`,
		{
			stage: 'setup',
			hint: 'mend what apt-get says, then: npx pathproof doctor --fix',
		},
	);
}

/** The words of one apt-get call. sudo drops the environment, hence env(1). */
export function aptCommand(
	args: string[],
	{ config, sudo, quiet }: { config?: string; sudo: boolean; quiet: boolean },
): string[] {
	return [
		...(sudo ? ['sudo'] : []),
		'env',
		'DEBIAN_FRONTEND=noninteractive',
		...(config ? [`APT_CONFIG=${config}`] : []),
		'apt-get',
		'-o=DPkg::Lock::Timeout=300',
		...(quiet ? ['-qq', '-o=Dpkg::Use-Pty=0'] : []),
		...args,
	];
}
