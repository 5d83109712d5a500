/**
 * The forks of one test and attempt: taken when asked for, judged when the test is over. A guest whose kernel panicked, oopsed or
 * splatted fails the test, and one that was lost fails it so that vitest tries once more (`retry` in `config.ts`). What a failed test
 * leaves is kept.
 */
import type { TestContext, TestError } from 'vitest';
import type { PoolClient, PoolVm } from '../../kernels/client.ts';
import { PathproofError } from '../../kernels/errors.ts';
import { slug } from '../../kernels/kept.ts';
import type { ForkRequest } from '../../kernels/pool-protocol.ts';
import type { Accel } from '../../kernels/vm.ts';

/** How a guest may end: `panic`, or `lost` where QEMU or the agent goes away. */
export type End = 'panic' | 'lost';

/** What a reporter may want to know of a test's guests; vitest's JSON reporter writes it as `meta.pathproof`. */
export interface GuestMeta {
	kernel: string;
	accel: Accel;
	/** milliseconds that the test waited for each fork */
	waitMs: number[];
	/** what `pathproof shell --from` takes */
	kept: string[];
}

declare module 'vitest' {
	interface TaskMeta {
		pathproof?: GuestMeta;
	}
}

interface Taken {
	vm: PoolVm;
	expected: End | null;
}

export class Forks {
	#client: PoolClient;
	#test: TestContext['task'];
	#taken: Taken[] = [];

	constructor(client: PoolClient, test: TestContext['task']) {
		this.#client = client;
		this.#test = test;
	}

	async take(request: ForkRequest): Promise<PoolVm> {
		const vm = await this.#client.fork(request);
		this.#taken.push({ vm, expected: null });
		const { meta } = this.#test;
		meta.pathproof ??= { kernel: vm.kernel.id, accel: vm.accel, waitMs: [], kept: [] };
		meta.pathproof.waitMs.push(vm.waitMs);
		return vm;
	}

	/** The test is about to end this guest on purpose: that it ends so is then demanded, not deplored. */
	expectEnd(vm: PoolVm, end: End): void {
		const taken = this.#taken.find((one) => one.vm === vm);
		if (!taken)
			throw new PathproofError('this guest is not one of the test', {
				stage: 'usage',
				hint: 'pass the `vm` of the test or of its lab',
			});
		taken.expected = end;
	}

	/** Throws what is wrong with the guests. A test that has failed already gets its guests kept, and told so in its error. */
	async finish(): Promise<void> {
		const complaints = (await Promise.all(this.#taken.map(judge))).filter((complaint) => complaint !== null);
		const failed = this.#test.result?.state === 'fail';
		const kept = failed || complaints.length ? await this.#keep() : [];
		await Promise.all(this.#taken.map(({ vm }) => vm[Symbol.asyncDispose]()));
		const [complaint] = complaints;
		// An assertion that failed stays the verdict: a guest lost after it explains nothing and must not bring a retry.
		if (complaint && (!failed || complaint.stage === 'panic')) throw noted(complaint, kept);
		const error = this.#test.result?.errors?.at(-1);
		if (failed && error) Object.assign(error, noted(error, kept));
	}

	async #keep(): Promise<string[]> {
		const { meta, fullTestName } = this.#test;
		for (const [index, { vm }] of this.#taken.entries()) {
			if (vm.lost) continue;
			const name = slug(`${vm.kernel.id}-${fullTestName}${index ? `-${index + 1}` : ''}`);
			await vm.keep(name);
			meta.pathproof?.kept.push(name);
		}
		return meta.pathproof?.kept ?? [];
	}
}

async function judge({ vm, expected }: Taken): Promise<PathproofError | null> {
	const end = await vm.checkHealth().then(
		() => null,
		(error: unknown) => {
			if (error instanceof PathproofError) return error;
			throw error;
		},
	);
	if (!expected || (end?.stage === expected && expected !== null)) return expected ? null : end;
	return (
		end ??
		new PathproofError(`the guest was to end (${expected}) and runs on`, {
			stage: 'call',
			kernel: vm.kernel.id,
			accel: vm.accel,
		})
	);
}

function noted<E extends Pick<TestError, 'message' | 'stack'>>(error: E, kept: readonly string[]): E {
	if (!kept.length) return error;
	const note = `\n\nits guest is kept: ${kept.map((name) => `npx pathproof shell --from "${name}"`).join('\n                   ')}`;
	const { message, stack } = error;
	return Object.assign(error, {
		message: message + note,
		...(stack && { stack: stack.replace(message, () => message + note) }),
	});
}
