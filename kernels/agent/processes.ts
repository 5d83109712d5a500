/** Programs that the host runs in the guest, each in a session of its own, so that what it starts can be ended with it. */
import { type ChildProcess, spawn as nodeSpawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { PathproofError } from '../errors.ts';
import type { ExecOptions, ExecResult } from '../vm.ts';
import { inNetns } from './netns.ts';
import type { HostFunctions, OutputStream } from './protocol.ts';

const TIMEOUT = 30_000;

export async function run(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
	const { timeout = TIMEOUT } = options;
	const child = await start(argv, options);
	const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
	child.stdout!.on('data', (bytes) => output.stdout.push(bytes));
	child.stderr!.on('data', (bytes) => output.stderr.push(bytes));
	let late = false;
	const timer = setTimeout(() => {
		late = true;
		kill(child.pid!);
	}, timeout);
	const [code, signal]: [number | null, string | null] = await closed(child);
	clearTimeout(timer);
	const stdout = Buffer.concat(output.stdout).toString();
	const stderr = Buffer.concat(output.stderr).toString();
	if (late) {
		const said = [stdout, stderr].filter(Boolean).join('\n');
		throw new PathproofError(`${argv.join(' ')} did not end within ${timeout} ms${said && `; it said:\n${said}`}`, {
			stage: 'call',
		});
	}
	return { stdout, stderr, code, signal };
}

type Reports = {
	[K in 'processOutput' | 'processEnded']: { asEvent(...args: Parameters<HostFunctions[K]>): Promise<void> };
};

/** The host is asked by events, in order: all output, then the end. A program waits while the host does not read. */
export async function spawn(argv: readonly string[], options: ExecOptions, host: Reports): Promise<number> {
	const child = await start(argv, options);
	const pid = child.pid!;
	if (options.keepInput) inputs.set(pid, child.stdin!);
	const forward = async (stream: OutputStream) => {
		for await (const bytes of child[stream]!) await host.processOutput.asEvent(pid, stream, bytes);
	};
	const forwarded = Promise.all([forward('stdout'), forward('stderr')]);
	closed(child).then(async ([code, signal]) => {
		inputs.delete(pid);
		await forwarded;
		await host.processEnded.asEvent(pid, code, signal);
	});
	return pid;
}

/** The standard inputs that are still open, by pid. */
const inputs = new Map<number, Writable>();

/** Resolves once the program's pipe has room again; null ends its input. */
export async function input(pid: number, bytes: Uint8Array | null): Promise<void> {
	const stdin = inputs.get(pid);
	if (!stdin || stdin.destroyed) return;
	if (bytes === null) stdin.end();
	else await new Promise<void>((resolve) => stdin.write(bytes, () => resolve())); // the program may end without reading it
}

export function kill(pid: number, signal = 'SIGKILL'): void {
	try {
		process.kill(-pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}

/** Resolves once the program runs. */
async function start(
	argv: readonly string[],
	{ input, keepInput, env, cwd, netns }: ExecOptions,
): Promise<ChildProcess> {
	const [program, ...args] = argv;
	if (!program) throw new PathproofError('no program to run', { stage: 'usage' });
	const begin = () =>
		nodeSpawn(program, args, {
			cwd,
			env: env ? { ...process.env, ...env } : process.env,
			stdio: [input === undefined && !keepInput ? 'ignore' : 'pipe', 'pipe', 'pipe'],
			detached: true,
		});
	const child = netns ? inNetns(netns, begin) : begin();
	if (child.pid === undefined) {
		const [cause] = await once(child, 'error');
		throw new PathproofError(`${program} cannot be started in the guest: ${cause.code}`, { stage: 'call', cause });
	}
	if (child.stdin) {
		// A program that ends without reading all of its input is none of our business.
		child.stdin.on('error', (error: NodeJS.ErrnoException) => {
			if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') throw error;
		});
		if (keepInput) input !== undefined && child.stdin.write(input);
		else child.stdin.end(input);
	}
	return child;
}

function closed(child: ChildProcess): Promise<[number | null, string | null]> {
	return new Promise((resolve) => child.once('close', (code, signal) => resolve([code, signal])));
}
