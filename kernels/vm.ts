/** A running guest, as a test sees it. One fork of a kernel's template, or of a lab's. */
import type { Kernel } from './kernel.ts';

export type Accel = 'kvm' | 'tcg';

/** `functional`: 2 vCPUs, KVM or multi-threaded TCG. `exact`: 1 vCPU, TCG with -icount. */
export type Profile = 'functional' | 'exact';

export interface ExecOptions {
	/** written to the program's standard input */
	input?: string | Uint8Array;
	/** of `spawn`: standard input stays open for `GuestProcess.write` */
	keepInput?: boolean;
	env?: Record<string, string>;
	cwd?: string;
	/** name of a netns made with `ip netns add`; the host's without */
	netns?: string;
	/** milliseconds of host time, 30,000 without; the program is killed when it is over */
	timeout?: number;
	/** false: a status other than 0 is an answer and not an error */
	reject?: boolean;
}

export interface ExecResult {
	stdout: string;
	stderr: string;
	/** exit status; null when a signal ended it */
	code: number | null;
	signal: string | null;
}

/** A program that goes on in the guest while the test does something else. */
export interface GuestProcess extends AsyncDisposable {
	readonly pid: number;
	/** resolves once a line of its output matches; rejects when it ends before, or after `timeout` ms (10,000 without) */
	waitFor(pattern: RegExp, timeout?: number): Promise<string>;
	kill(signal?: string): Promise<void>;
	/** To its standard input, which `keepInput` left open. Resolves once the guest has taken it. */
	write(data: string | Uint8Array): Promise<void>;
	endInput(): Promise<void>;
	/** Everything it has said so far, and then what it says, as it comes. */
	onOutput(listener: (bytes: Uint8Array, stream: 'stdout' | 'stderr') => void): void;
	/** resolves when it has ended */
	readonly ended: Promise<ExecResult>;
}

/** The exported functions of a guest module, each answering a promise. */
export type Remote<M> = {
	[K in keyof M as M[K] extends (...args: never[]) => unknown ? K : never]: M[K] extends (...args: infer A) => infer R
		? (...args: A) => Promise<Awaited<R>>
		: never;
};

export interface Vm extends AsyncDisposable {
	readonly kernel: Kernel;
	readonly accel: Accel;
	readonly profile: Profile;
	/** how long the test waited for this fork, ms */
	readonly waitMs: number;
	/** Run a program to its end. Throws a PathproofError with both outputs where it fails. */
	exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
	spawn(argv: readonly string[], options?: ExecOptions): Promise<GuestProcess>;
	readFile(path: string): Promise<Buffer>;
	writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void>;
	/**
	 * The functions of one of this repository's modules, run inside the guest's agent: `vm.use<typeof import('…')>('impl/ip/ip.ts')`.
	 * The path is relative to the payload's root. Arguments and results travel as msgpack: plain data and bytes, no functions.
	 */
	use<M>(module: string): Remote<M>;
	/** The guest's console so far, from the template's boot on: a ring of the last 256 KiB. */
	console(): Promise<string>;
}
