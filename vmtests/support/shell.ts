/** `pathproof shell`: a shell in a guest of one's own, with a lab up; or in the very guest of a test that failed. */
import { styleText } from 'node:util';
import type { Command } from 'commander';
import type { PoolVm } from '../../kernels/client.ts';
import { keptNames } from '../../kernels/kept.ts';
import { parseLab } from './lab-words.ts';
import type { ProvidedKernel } from './provided.ts';
import type { Session } from './session.ts';
import type { LabState } from './types.ts';

interface Options {
	kernel?: string;
	/** `netkit/redirect`, `none` */
	lab?: string;
	/** true: `--from` without a name */
	from?: string | true;
}

export function register(program: Command): void {
	program
		.command('shell')
		.description(
			"A shell as root in a fresh guest, which is gone when the shell ends. Without a terminal it takes commands from standard input. Exits with the shell's status.",
		)
		.option('--kernel <kernel>', 'one kernel: 6.12, 6.12.95, a build tree; the newest default without')
		.option(
			'--lab <device/forward>',
			'the lab that is up: netkit/redirect, veth/stack, …; none for the bare kernel. veth/redirect without, or netkit where the kernel has no modules',
		)
		.option('--from [name]', 'resume the guest of a failed test; without a name, list those that are kept')
		.action(shell);
}

async function shell({ kernel, lab, from }: Options): Promise<void> {
	if (from === true) return listKept();
	const words = lab === 'none' ? null : lab ? parseLab(lab) : ({ forward: 'redirect' } as const);
	// Not imported above: --help and the list need none of it.
	const [{ chooseKernel, Session }, { runShell }] = await Promise.all([
		import('./session.ts'),
		import('./terminal.ts'),
	]);
	await using session = await Session.open();
	if (from !== undefined) {
		await using vm = await session.client.resume(from);
		tell(`the guest of “${from}” goes on: linux ${vm.kernel.id} (${vm.accel})`);
		process.exitCode = await runShell(vm);
		return;
	}
	const chosen = await chooseKernel(kernel);
	const { vm, state } = words === null ? await bare(session, chosen) : await session.lab(chosen, words);
	tell(`linux ${vm.kernel.id} (${vm.accel}), gone when this shell ends`);
	if (state) for (const line of introduce(state)) tell(line);
	process.exitCode = await runShell(vm);
}

/** Without a lab, but with `pathproof net`. */
async function bare(session: Session, kernel: ProvidedKernel): Promise<{ vm: PoolVm; state: null }> {
	const vm = await session.vm(kernel);
	await vm.use<typeof import('./guest/launcher.ts')>('vmtests/support/guest/launcher.ts').installLauncher();
	return { vm, state: null };
}

function introduce({ options, web, host, peer, programs }: LabState): string[] {
	return [
		`${options.device} ${options.forward}: container ${web.ipv6} (netns web), host ${host.ipv6}, peer ${peer.ipv6} (netns peer)`,
		...programs.map(({ name, attach, device }) => `  ${name} is on ${device} (${attach})`),
		`try: tcpdump -ni web & ip netns exec web ping -c1 ${peer.ipv6}`,
	];
}

function listKept(): void {
	const names = keptNames();
	for (const name of names) console.log(name);
	tell(names.length ? `resume one: npx pathproof shell --from ${names[0]}` : 'no guest of a failed test is kept');
}

/** Beside what the shell itself says. */
function tell(text: string): void {
	process.stderr.write(`${styleText('dim', text, { stream: process.stderr })}\n`);
}
