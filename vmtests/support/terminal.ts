/** A shell in a guest, on this terminal or, where there is none, for commands from standard input. */
import { constants } from 'node:os';
import type { ReadStream, WriteStream } from 'node:tty';
import type { GuestProcess, Vm } from '../../kernels/vm.ts';

/** Answers the shell's exit status; 128 and the signal's number where a signal ended it, as shells do. */
export async function runShell(vm: Vm): Promise<number> {
	const { stdin, stdout } = process;
	return stdin.isTTY && stdout.isTTY ? onTerminal(vm, stdin, stdout) : fromInput(vm);
}

/** Where the guest's shell leaves the name of its pty, so that the window can follow this one's size. */
const PTY_NAME = '/run/pathproof-shell';

/** What runs on the pty: its size first, so that the first prompt is drawn right. */
export function ptyCommand(rows: number, columns: number): string[] {
	return ['script', '-qefc', `tty >${PTY_NAME}; stty rows ${rows} cols ${columns}; exec bash --norc -i`, '/dev/null'];
}

async function onTerminal(vm: Vm, stdin: ReadStream, stdout: WriteStream): Promise<number> {
	const env = {
		TERM: process.env.TERM ?? 'linux',
		PS1: `\\[\\e[36m\\]${vm.kernel.id}\\[\\e[0m\\] \\w # `,
		PAGER: 'cat',
	};
	await using shell = await vm.spawn(ptyCommand(stdout.rows, stdout.columns), { env, keepInput: true });
	shell.onOutput((bytes) => void stdout.write(bytes));
	const resize = () => void followSize(vm, stdout);
	stdout.on('resize', resize);
	stdin.setRawMode(true);
	try {
		return await feed(shell, stdin);
	} finally {
		stdin.setRawMode(false);
		stdout.off('resize', resize);
	}
}

async function followSize(vm: Vm, { rows, columns }: WriteStream): Promise<void> {
	// A window that keeps its size is no reason to end a session.
	await vm.exec(['sh', '-c', `stty -F "$(cat ${PTY_NAME})" rows ${rows} cols ${columns}`], { reject: false });
}

async function fromInput(vm: Vm): Promise<number> {
	await using shell = await vm.spawn(['bash', '-s'], { keepInput: true });
	shell.onOutput((bytes, stream) => void process[stream].write(bytes));
	return await feed(shell, process.stdin); // awaited here: leaving ends the shell
}

/** Hands on what is typed until the shell ends. */
async function feed(shell: GuestProcess, stdin: NodeJS.ReadStream): Promise<number> {
	const failed = Promise.withResolvers<never>();
	const hand = async (give: () => Promise<void>) => {
		stdin.pause();
		await give().catch(failed.reject);
		stdin.resume();
	};
	const onData = (bytes: Buffer) => void hand(() => shell.write(bytes));
	const onEnd = () => void shell.endInput().catch(failed.reject);
	stdin.on('data', onData).on('end', onEnd);
	try {
		const { code, signal } = await Promise.race([shell.ended, failed.promise]);
		return code ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
	} finally {
		stdin.off('data', onData).off('end', onEnd);
		stdin.pause();
		stdin.unref?.();
	}
}
