/**
 * The one error type that crosses module borders: what failed, at which stage, on which kernel, what to type next.
 * The stage decides the exit code: a call that is wrong exits 2, a machine or VM that failed exits 69 (EX_UNAVAILABLE).
 */

export type Stage =
	/** the words of a call: an unknown selector, a path that is no kernel tree */
	| 'usage'
	/** this machine: a missing tool, a full or read-only cache */
	| 'setup'
	| 'fetch'
	| 'unpack'
	| 'boot'
	| 'ready'
	| 'snapshot'
	| 'restore'
	| 'call'
	/** the guest's kernel panicked, oopsed or splatted */
	| 'panic'
	/** QEMU or the agent went away without a word */
	| 'lost';

export interface ErrorDetails {
	stage: Stage;
	/** what to do next: a command where there is one */
	hint?: string;
	/** kernel version, e.g. `6.12.117` */
	kernel?: string;
	accel?: string;
	/** the last lines of the guest's console, at most 40 */
	console?: string[];
	/** the first symbols of a panic's stack */
	fingerprint?: string[];
	cause?: unknown;
}

export class PathproofError extends Error {
	override name = 'PathproofError';
	readonly stage: Stage;
	readonly hint: string | undefined;
	readonly kernel: string | undefined;
	readonly accel: string | undefined;
	readonly console: string[] | undefined;
	readonly fingerprint: string[] | undefined;
	/** What failed, without the console. */
	readonly shortMessage: string;

	constructor(shortMessage: string, details: ErrorDetails) {
		super(render(shortMessage, details), { cause: details.cause });
		this.shortMessage = shortMessage;
		this.stage = details.stage;
		this.hint = details.hint;
		this.kernel = details.kernel;
		this.accel = details.accel;
		this.console = details.console;
		this.fingerprint = details.fingerprint;
	}

	get exitCode(): 2 | 69 {
		return this.stage === 'usage' ? 2 : 69;
	}

	/** The plain data that a pool sends to a test worker. */
	toJSON(): ErrorDetails & { shortMessage: string } {
		const { shortMessage, stage, hint, kernel, accel, console, fingerprint } = this;
		return { shortMessage, stage, hint, kernel, accel, console, fingerprint };
	}

	static fromJSON({ shortMessage, ...details }: ErrorDetails & { shortMessage: string }): PathproofError {
		return new PathproofError(shortMessage, details);
	}
}

function render(shortMessage: string, { stage, hint, kernel, accel, console, fingerprint }: ErrorDetails): string {
	const where = [stage, kernel && `linux ${kernel}`, accel].filter(Boolean).join(', ');
	return [
		`${shortMessage} [${where}]`,
		fingerprint?.length ? `fingerprint: ${fingerprint.join(' < ')}` : undefined,
		hint ? `try: ${hint}` : undefined,
		console?.length
			? `console (last ${console.length} lines):\n${console.map((line) => `  | ${line}`).join('\n')}`
			: undefined,
	]
		.filter((line) => line !== undefined)
		.join('\n');
}
