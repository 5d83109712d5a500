/** What a command needs to work with guests: one pool and one kernel, both gone when it is. The commands' counterpart of `test.ts`. */
import { connectPool, type PoolClient, type PoolVm } from '../../kernels/client.ts';
import { PathproofError } from '../../kernels/errors.ts';
import { readLock } from '../../kernels/lock.ts';
import { type Pool, startPool } from '../../kernels/pool.ts';
import { equip } from './guest-vm.ts';
import { type Lab, type LabRequest, openLab } from './lab.ts';
import type { ProvidedKernel } from './provided.ts';
import { selectKernels } from './select.ts';

/** The one kernel that a command works on: the newest default without. Throws stage `usage` where a selector names several. */
export async function chooseKernel(selector: string = readLock().default.at(-1)!): Promise<ProvidedKernel> {
	const kernels = await selectKernels(selector);
	if (kernels.length === 1) return kernels[0]!;
	throw new PathproofError(`"${selector}" names ${kernels.length} kernels where one is wanted`, {
		stage: 'usage',
		hint: `--kernel ${kernels.at(-1)?.id ?? readLock().default.at(-1)}`,
	});
}

export class Session implements AsyncDisposable {
	readonly client: PoolClient;
	#pool: Pool;
	#interrupted: () => void;

	private constructor(pool: Pool, client: PoolClient) {
		this.#pool = pool;
		this.client = client;
		// The guests end with this process whatever ends it; an interrupted command also takes its files away.
		this.#interrupted = () => void this[Symbol.asyncDispose]().finally(() => process.exit(130));
		process.once('SIGINT', this.#interrupted).once('SIGTERM', this.#interrupted);
	}

	/** `note` is told in a line what takes long: booting a kernel, building a lab. */
	static async open(note?: (text: string) => void): Promise<Session> {
		const pool = await startPool({ spares: 0, note });
		return new Session(pool, await connectPool(pool.socket));
	}

	/** A fresh guest: a fork of the kernel as it was when it had just booted. */
	async vm(kernel: ProvidedKernel): Promise<PoolVm> {
		return equip(await this.client.fork({ kernel: kernel.request }));
	}

	/** A fresh lab. Throws stage `call` with what its kernel refused. */
	async lab(kernel: ProvidedKernel, request: LabRequest): Promise<Lab> {
		const forks = { take: (wanted: Parameters<PoolClient['fork']>[0]) => this.client.fork(wanted) };
		try {
			return await openLab({ forks, pool: this.client, kernel })(request);
		} catch (error) {
			if (!(error instanceof Error) || error.name !== 'DatapathError') throw error;
			// What comes from a guest is its message alone: what failed, what was said, and what to try.
			const [message, hint = 'another device, or a kernel that has it: npx pathproof kernels ls'] =
				error.message.split('\ntry: ');
			throw new PathproofError(message!, { stage: 'call', kernel: kernel.id, hint, cause: error });
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		process.off('SIGINT', this.#interrupted).off('SIGTERM', this.#interrupted);
		await this.client[Symbol.asyncDispose]();
		await this.#pool.close();
	}
}
