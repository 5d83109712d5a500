/**
 * One QEMU process as a child of the pool. It dies with the pool whatever ends the pool: the kernel kills it when its parent
 * is gone, and its channels are socket pairs, so that nothing is left in any file system.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { Console, findSplat } from './console.ts';
import { PathproofError, type Stage } from './errors.ts';
import { AGENT_FD, CONSOLE_FD, type MachineConfig, QMP_FD, qemuArguments } from './machine.ts';
import { Qmp } from './qmp.ts';

/** setpriv asks the kernel for SIGKILL on the death of the parent, then becomes QEMU. */
export function childCommand(command: string[]): string[] {
	return ['setpriv', '--pdeathsig', 'KILL', '--', ...command];
}

const STDERR_BYTES = 8 * 1024;

export class Qemu {
	readonly console = new Console();
	readonly qmp: Qmp;
	/** the agent's end of the guest: raw bytes */
	readonly agent: Duplex;
	readonly startedAt = performance.now();
	/** resolves with the error that tells why this guest is gone; never rejects */
	readonly gone: Promise<PathproofError>;
	readonly kernelId: string;
	readonly config: MachineConfig;
	#process: ChildProcess;
	#stderr = '';
	/** why QEMU says the guest stopped: `guest-shutdown`, `guest-panic`, … */
	#shutdown: string | undefined;
	/** we ended it ourselves */
	#ended = false;

	constructor(kernelId: string, config: MachineConfig) {
		this.kernelId = kernelId;
		this.config = config;
		const [program, ...args] = childCommand(qemuArguments(config));
		this.#process = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe'] });
		const stdio = this.#process.stdio as unknown as Duplex[];
		for (const stream of stdio.slice(CONSOLE_FD)) stream.on('error', ignoreReset);
		stdio[CONSOLE_FD]!.on('data', (bytes: Buffer) => this.console.append(bytes));
		this.#process.stderr!.on('data', (bytes: Buffer) => {
			this.#stderr = (this.#stderr + bytes).slice(-STDERR_BYTES);
		});
		this.agent = stdio[AGENT_FD]!;
		this.qmp = new Qmp(stdio[QMP_FD]!);
		this.qmp.on('event', (name, data) => {
			if (name === 'SHUTDOWN') this.#shutdown = String(data.reason);
		});
		this.gone = this.#whyGone();
	}

	get pid(): number | undefined {
		return this.#process.pid;
	}

	/** An error of this guest, with its console. */
	error(message: string, stage: Stage, details: { hint?: string; cause?: unknown } = {}): PathproofError {
		const splat = findSplat(this.console.text);
		return new PathproofError(message, {
			stage,
			kernel: this.kernelId,
			accel: this.config.accel,
			console: this.console.tail,
			fingerprint: splat?.fingerprint,
			...details,
		});
	}

	/** Ends QEMU at once and waits until it is reaped. */
	async kill(): Promise<void> {
		this.#ended = true;
		this.#process.kill('SIGKILL');
		await this.gone;
	}

	async #whyGone(): Promise<PathproofError> {
		const exited = once(this.#process, 'close') as Promise<[number | null, string | null]>;
		try {
			const [code, signal] = await exited;
			return this.#explain(code, signal);
		} catch (cause) {
			return new PathproofError('QEMU cannot be started', {
				stage: 'setup',
				kernel: this.kernelId,
				hint: 'npx pathproof doctor --fix',
				cause,
			});
		}
	}

	#explain(code: number | null, signal: string | null): PathproofError {
		if (this.#ended) return this.error('the guest was ended by its pool', 'lost');
		const splat = findSplat(this.console.text);
		if (splat?.kind === 'panic') return this.error(splat.line, 'panic');
		// A page of a template's memory that the file system has no room for.
		if (signal === 'SIGBUS') {
			return this.error("the guest's memory does not fit on the disk of the cache", 'setup', {
				hint: 'free some space there, or point PATHPROOF_CACHE to another disk; npx pathproof doctor shows both',
			});
		}
		if (signal) return this.error(`QEMU was killed by ${signal}`, 'lost');
		if (this.#shutdown === 'guest-shutdown') return this.error('the guest powered itself off', 'lost');
		if (this.#shutdown === 'guest-reset') return this.error('the guest reset itself', 'lost');
		const said = this.#stderr.trim();
		return this.error(`QEMU ended with status ${code}${said ? `: ${said}` : ''}`, 'lost');
	}
}

/** A guest that goes away resets its sockets; `gone` says why, so the streams need not. */
function ignoreReset(error: NodeJS.ErrnoException): void {
	if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') throw error;
}
