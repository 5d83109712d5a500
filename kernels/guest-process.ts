/** A program that runs on in a guest, as its client sees it: fed by what the agent tells of it. */
import type { OutputStream } from './agent/protocol.ts';
import type { PathproofError } from './errors.ts';
import type { ExecResult, GuestProcess } from './vm.ts';

/** What a process asks of the guest it runs in. */
interface ProcessOwner {
	kill(signal?: string): Promise<void>;
	input(bytes: Uint8Array | null): Promise<void>;
	error(message: string): PathproofError;
}

export class RunningProcess implements GuestProcess {
	readonly pid: number;
	readonly ended: Promise<ExecResult>;
	#argv: readonly string[];
	#outputs = { stdout: '', stderr: '' };
	#said: { bytes: Uint8Array; stream: OutputStream }[] = [];
	#taps: ((bytes: Uint8Array, stream: OutputStream) => void)[] = [];
	#listeners = new Set<() => void>();
	#guest: ProcessOwner;
	#result: ExecResult | undefined;
	#lost: PathproofError | undefined;
	#resolve: (result: ExecResult) => void;
	#reject: (error: Error) => void;

	constructor(pid: number, argv: readonly string[], guest: ProcessOwner) {
		this.pid = pid;
		this.#argv = argv;
		this.#guest = guest;
		const { promise, resolve, reject } = Promise.withResolvers<ExecResult>();
		promise.catch(() => {}); // whoever awaits `ended` is told; nobody has to
		this.ended = promise;
		this.#resolve = resolve;
		this.#reject = reject;
	}

	output(stream: OutputStream, bytes: Uint8Array): void {
		this.#outputs[stream] += Buffer.from(bytes).toString();
		this.#said.push({ bytes, stream });
		for (const tap of this.#taps) tap(bytes, stream);
		for (const listener of this.#listeners) listener();
	}

	end(code: number | null, signal: string | null): void {
		this.#result = { ...this.#outputs, code, signal };
		this.#resolve(this.#result);
		for (const listener of this.#listeners) listener();
	}

	lose(error: PathproofError): void {
		this.#lost = error;
		this.#reject(error);
		for (const listener of this.#listeners) listener();
	}

	async waitFor(pattern: RegExp, timeout = 10_000): Promise<string> {
		const { promise, resolve, reject } = Promise.withResolvers<string>();
		const look = () => {
			const lines = `${this.#outputs.stdout}\n${this.#outputs.stderr}`.split('\n');
			const line = lines.find((text) => pattern.test(text));
			if (line !== undefined) resolve(line);
			else if (this.#lost) reject(this.#lost);
			else if (this.#result) reject(this.#failed(`ended without a line like ${pattern}`));
		};
		const timer = setTimeout(() => reject(this.#failed(`said nothing like ${pattern} in ${timeout} ms`)), timeout);
		this.#listeners.add(look);
		try {
			look();
			return await promise;
		} finally {
			clearTimeout(timer);
			this.#listeners.delete(look);
		}
	}

	async kill(signal?: string): Promise<void> {
		if (!this.#result && !this.#lost) await this.#guest.kill(signal);
	}

	async write(data: string | Uint8Array): Promise<void> {
		if (!this.#result && !this.#lost) await this.#guest.input(Buffer.from(data));
	}

	async endInput(): Promise<void> {
		if (!this.#result && !this.#lost) await this.#guest.input(null);
	}

	onOutput(listener: (bytes: Uint8Array, stream: OutputStream) => void): void {
		for (const { bytes, stream } of this.#said) listener(bytes, stream);
		this.#taps.push(listener);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#result || this.#lost) return;
		await this.kill('SIGKILL');
		await this.ended.catch(() => {}); // lost with its guest
	}

	#failed(how: string): PathproofError {
		const { stdout, stderr } = this.#outputs;
		return this.#guest.error(`${this.#argv.join(' ')} ${how}\n${stdout}${stderr}`.trim());
	}
}
