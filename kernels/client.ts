/** The other side of the pool: any process that is lent a guest. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { AgentFunctions, HostFunctions } from './agent/protocol.ts';
import { type Channel, openChannel } from './channel.ts';
import { PathproofError } from './errors.ts';
import { RunningProcess } from './guest-process.ts';
import type { Kernel } from './kernel.ts';
import type { ForkGrant, ForkRequest, LabRequest, PoolEvents, PoolFunctions } from './pool-protocol.ts';
import type { Accel, ExecOptions, ExecResult, GuestProcess, Profile, Remote, Vm } from './vm.ts';

/** Milliseconds of host time that a program in the guest may take without a word of its own. */
const EXEC_TIMEOUT = 30_000;
/** Milliseconds beyond a program's own time before the guest itself is taken for dead. */
const GRACE = 10_000;
/**
 * One call may build a whole lab: six seconds' work, and a minute's where many guests share two CPUs without KVM. Or carry half a
 * megabyte over a serial line, which takes its bytes one by one. An exact guest has one CPU, and each of its instructions is counted.
 */
const CALL_TIMEOUT = { functional: 150_000, exact: 400_000 } as const;

export async function connectPool(socket: string): Promise<PoolClient> {
	const client = new PoolClient(socket);
	await client.connect();
	return client;
}

export class PoolClient implements AsyncDisposable {
	readonly socket: string;
	#channel!: Channel<PoolFunctions>;
	#vms = new Map<number, PoolVm>();

	constructor(socket: string) {
		this.socket = socket;
	}

	async connect(): Promise<void> {
		const stream = await dial(this.socket, 'control');
		const events: PoolEvents = { gone: (id, error) => this.#vms.get(id)?.lose(PathproofError.fromJSON(error)) };
		this.#channel = openChannel<PoolFunctions, PoolEvents>(stream, events, { timeout: Number.POSITIVE_INFINITY });
	}

	/** A fresh fork of the kernel's template, or of a lab's. It runs; its clock is right. */
	async fork(request: ForkRequest): Promise<PoolVm> {
		return this.#open(await this.#channel.remote.fork(request));
	}

	/**
	 * Makes the lab's template where it is not there yet: `build` runs once per kernel and key, across workers and processes,
	 * in a guest whose state then becomes the template. Answers the plain data that `build` left.
	 */
	async ensureLab<T>(request: LabRequest & { build(vm: PoolVm): Promise<T> }): Promise<T> {
		const { build, ...plain } = request;
		const granted = await this.#channel.remote.lab(plain);
		if (!('build' in granted)) return granted.data as T;
		const { id } = granted.build;
		try {
			const vm = await this.#open(granted.build);
			const data = await build(vm);
			await this.#channel.remote.saveLab(id, data);
			return data;
		} catch (error) {
			const plainError = error instanceof PathproofError ? error : new PathproofError(String(error), { stage: 'call' });
			await this.#channel.remote.abandonLab(id, plainError.toJSON()).catch(() => {}); // it is gone with its guest
			throw error;
		} finally {
			this.#vms.get(id)?.close();
			this.#vms.delete(id);
		}
	}

	/** The guest that a failed test left, running again. */
	async resume(name: string): Promise<PoolVm> {
		return this.#open(await this.#channel.remote.resume(name));
	}

	async #open(grant: ForkGrant): Promise<PoolVm> {
		const stream = await dial(this.socket, `agent ${grant.id}`);
		const vm = new PoolVm(grant, stream, this.#channel.remote, () => this.#vms.delete(grant.id));
		this.#vms.set(grant.id, vm);
		return vm;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#channel.close();
		await this.#channel.closed;
	}
}

/** A lent guest: what every test sees (`Vm`), and what the framework needs besides. */
export class PoolVm implements Vm {
	readonly id: number;
	readonly kernel: Kernel;
	readonly accel: Accel;
	readonly profile: Profile;
	readonly waitMs: number;
	readonly qemuPid: number;
	/** what the lab's builder left */
	readonly data: unknown;
	/** rejected calls carry this once the guest is lost */
	lost: PathproofError | undefined;
	#pool: Channel<PoolFunctions>['remote'];
	#agent: Channel<AgentFunctions>;
	#processes = new Map<number, RunningProcess>();
	/** output that came before `spawn` answered the pid */
	#early = new Map<number, ((process: RunningProcess) => void)[]>();
	#payload: (() => Promise<Record<string, string | Uint8Array>>) | undefined;
	#installed: Promise<void> | undefined;
	#forget: () => void;

	constructor(grant: ForkGrant, stream: Socket, pool: Channel<PoolFunctions>['remote'], forget: () => void) {
		this.id = grant.id;
		this.kernel = grant.kernel;
		this.accel = grant.accel;
		this.profile = grant.profile;
		this.waitMs = grant.waitMs;
		this.qemuPid = grant.qemuPid;
		this.data = grant.data;
		this.#pool = pool;
		this.#forget = forget;
		const host: HostFunctions = {
			ready: () => {},
			processOutput: (pid, stream, bytes) => this.#withProcess(pid, (process) => process.output(stream, bytes)),
			processEnded: (pid, code, signal) => this.#withProcess(pid, (process) => process.end(code, signal)),
		};
		this.#agent = openChannel<AgentFunctions, HostFunctions>(stream, host);
		// Sent ahead of the first call and not waited for: a fork wakes up with its template's clock. An exact guest keeps its
		// own, so that every run sees the same time.
		if (this.profile === 'functional') {
			void this.#agent.remote.setClock.asEvent(`${BigInt(Date.now()) * 1_000_000n}`).catch(() => {}); // the next call tells
		}
	}

	async exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
		const timeout = options.timeout ?? EXEC_TIMEOUT;
		const result = (await this.#call('run', [argv, { ...options, timeout }], timeout + GRACE)) as ExecResult;
		if (result.code !== 0 && options.reject !== false) {
			const how = result.signal ? `was ended by ${result.signal}` : `exited with ${result.code}`;
			const said = [result.stderr, result.stdout].map((text) => text.trim()).filter(Boolean);
			throw this.#error(`${argv.join(' ')} ${how}${said.length ? `: ${said.join('\n')}` : ''}`);
		}
		return result;
	}

	async spawn(argv: readonly string[], options: ExecOptions = {}): Promise<GuestProcess> {
		const pid = (await this.#call('spawn', [argv, options])) as number;
		const process = new RunningProcess(pid, argv, {
			kill: (signal) => this.#call('kill', [pid, signal]) as Promise<void>,
			input: (bytes) => this.#call('input', [pid, bytes], Number.POSITIVE_INFINITY) as Promise<void>,
			error: (message) => this.#error(message),
		});
		this.#processes.set(pid, process);
		for (const told of this.#early.get(pid) ?? []) told(process);
		this.#early.delete(pid);
		return process;
	}

	async readFile(path: string): Promise<Buffer> {
		return Buffer.from((await this.#call('readFile', [path])) as Uint8Array);
	}

	async writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void> {
		await this.#call('writeFile', [path, data, mode]);
	}

	use<M>(module: string): Remote<M> {
		return new Proxy({} as Remote<M>, {
			get: (_, name) =>
				typeof name !== 'string' || name === 'then'
					? undefined
					: async (...args: unknown[]) => {
							this.#installed ??= this.#installPayload();
							await this.#installed;
							return this.#call('call', [module, name, args], CALL_TIMEOUT[this.profile]);
						},
		});
	}

	/** Where `use` finds its modules: packed on first use. Without, they must have been installed. */
	providePayload(pack: () => Promise<Record<string, string | Uint8Array>>): void {
		this.#payload = pack;
	}

	async install(files: Record<string, string | Uint8Array>): Promise<void> {
		await this.#call('install', [files], CALL_TIMEOUT[this.profile]);
	}

	console(): Promise<string> {
		return this.#pool.console(this.id);
	}

	/** Records of the kernel's log since its boot. */
	async dmesg(): Promise<string[]> {
		const { messages } = (await this.#call('dmesg', [])) as Awaited<ReturnType<AgentFunctions['dmesg']>>;
		return messages.map(({ text }) => text);
	}

	qmp(command: string, args?: Record<string, unknown>): Promise<unknown> {
		return this.#pool.qmp(this.id, command, args);
	}

	/** Throws where the guest's kernel panicked, oopsed or splatted since the fork, or the guest is gone. */
	async checkHealth(): Promise<void> {
		if (this.lost) throw this.lost;
		const complaint = await this.#pool.health(this.id);
		if (complaint) throw PathproofError.fromJSON(complaint);
	}

	/** Saves the guest as it is now for `pathproof shell --from NAME`; it stays paused. */
	async keep(name: string): Promise<void> {
		await this.#pool.keep(this.id, name);
	}

	/** The pool tells that the guest is gone: everything under way fails with the reason. */
	lose(error: PathproofError): void {
		this.lost ??= error;
		for (const process of this.#processes.values()) process.lose(error);
		this.#agent.close(error);
	}

	/** Lets go of the channel without ending the guest. */
	close(): void {
		this.#agent.close();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#forget();
		this.#agent.close();
		await this.#pool.release(this.id).catch(() => {}); // the pool, and all its guests, ended first
	}

	async #installPayload(): Promise<void> {
		if (this.#payload) await this.install(await this.#payload());
	}

	async #call<K extends keyof AgentFunctions>(name: K, args: unknown[], timeout?: number): Promise<unknown> {
		try {
			return await this.#agent.call(name, args as never, timeout === undefined ? {} : { timeout });
		} catch (error) {
			throw await this.#explain(error);
		}
	}

	/** A channel that ended says less than the pool, whose word may be a moment behind it. */
	async #explain(error: unknown): Promise<unknown> {
		if (!(error instanceof PathproofError)) return error;
		if (error.stage === 'lost') {
			for (let waited = 0; !this.lost && waited < 1_000; waited += 20) {
				await new Promise((resolve) => setTimeout(resolve, 20));
			}
			return this.lost ?? error;
		}
		if (error.kernel) return error;
		const { shortMessage, ...details } = error.toJSON();
		return new PathproofError(shortMessage, { ...details, kernel: this.kernel.id, accel: this.accel, cause: error });
	}

	#error(message: string): PathproofError {
		return new PathproofError(message, { stage: 'call', kernel: this.kernel.id, accel: this.accel });
	}

	#withProcess(pid: number, tell: (process: RunningProcess) => void): void {
		const process = this.#processes.get(pid);
		if (process) tell(process);
		else this.#early.set(pid, [...(this.#early.get(pid) ?? []), tell]);
	}
}

async function dial(path: string, purpose: string): Promise<Socket> {
	const socket = connect(path);
	try {
		await once(socket, 'connect');
	} catch (cause) {
		throw new PathproofError('the pool is gone', { stage: 'lost', hint: 'run the command again', cause });
	}
	socket.write(`${purpose}\n`);
	return socket;
}
