/**
 * The forks of one test and attempt: taken when asked for, judged when the test is over. A guest whose kernel panicked, oopsed or
 * splatted fails the test, and one that was lost fails it so that vitest tries once more (`retry` in `config.ts`). What a failed test
 * leaves is kept: its guests, and evidence of what it traced.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { recordArtifact, type TestArtifactBase, type TestContext, type TestError } from 'vitest';
import type { PoolClient, PoolVm } from '../../kernels/client.ts';
import { PathproofError } from '../../kernels/errors.ts';
import { slug } from '../../kernels/kept.ts';
import type { ForkRequest } from '../../kernels/pool-protocol.ts';
import type { Accel } from '../../kernels/vm.ts';
import { keepEvidence } from './evidence.ts';
import type { Lab } from './lab.ts';

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
	/** folders, see evidence.ts */
	evidence: string[];
}

/** For reporters: where the evidence is, with the paths of the packets as text. */
interface EvidenceArtifact extends TestArtifactBase {
	type: 'pathproof:evidence';
	folder: string;
}

declare const evidenceArtifact: unique symbol;

declare module 'vitest' {
	interface TaskMeta {
		pathproof?: GuestMeta;
	}
	interface TestArtifactRegistry {
		[evidenceArtifact]: EvidenceArtifact;
	}
}

interface Taken {
	vm: PoolVm;
	expected: End | null;
	/** the lab that was made of it */
	lab: Pick<Lab, 'vm' | 'state' | 'traces'> | null;
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
		this.#taken.push({ vm, expected: null, lab: null });
		const { meta } = this.#test;
		meta.pathproof ??= { kernel: vm.kernel.id, accel: vm.accel, waitMs: [], kept: [], evidence: [] };
		meta.pathproof.waitMs.push(vm.waitMs);
		return vm;
	}

	/** The test is about to end this guest on purpose: that it ends so is then demanded, not deplored. */
	expectEnd(vm: PoolVm, end: End): void {
		this.#takenOf(vm).expected = end;
	}

	/** What this lab traces is part of what the test leaves where it fails. */
	watch(lab: NonNullable<Taken['lab']>): void {
		this.#takenOf(lab.vm).lab = lab;
	}

	#takenOf(vm: PoolVm): Taken {
		const taken = this.#taken.find((one) => one.vm === vm);
		if (taken) return taken;
		throw new PathproofError('this guest is not one of the test', {
			stage: 'usage',
			hint: 'pass the `vm` of the test or of its lab',
		});
	}

	/** Throws what is wrong with the guests. A test that has failed already gets its guests kept, and told so in its error. */
	async finish(): Promise<void> {
		const complaints = (await Promise.all(this.#taken.map(judge))).filter((complaint) => complaint !== null);
		const failed = this.#test.result?.state === 'fail';
		const notes = failed || complaints.length ? await this.#leave(complaints) : [];
		await Promise.all(this.#taken.map(({ vm }) => vm[Symbol.asyncDispose]()));
		const [complaint] = complaints;
		// An assertion that failed stays the verdict: a guest lost after it explains nothing and must not bring a retry.
		if (complaint && (!failed || complaint.stage === 'panic')) throw noted(complaint, notes);
		const error = this.#test.result?.errors?.at(-1);
		if (failed && error) Object.assign(error, noted(error, notes));
	}

	/** Guests, and before each is paused the evidence of what was traced in it. Answers what is to be said of them, a line each. */
	async #leave(complaints: readonly PathproofError[]): Promise<string[]> {
		const { meta, fullTestName, result } = this.#test;
		const said = [...(result?.errors ?? []), ...complaints].map(({ message }) => message);
		const notes: string[] = [];
		for (const [index, { vm, lab }] of this.#taken.entries()) {
			const name = slug(`${vm.kernel.id}-${fullTestName}${index ? `-${index + 1}` : ''}`);
			const shell = `npx pathproof shell --from "${name}"`;
			if (lab?.traces.length) notes.push(await this.#gather(name, lab, { said, reproduce: vm.lost ? null : shell }));
			if (vm.lost) continue;
			await vm.keep(name);
			meta.pathproof?.kept.push(name);
			notes.push(`its guest is kept: ${shell}`);
		}
		return notes;
	}

	/** Answers where it is. That it could not be written is said instead, and hides nothing of why the test failed. */
	async #gather(name: string, lab: NonNullable<Taken['lab']>, more: { said: string[]; reproduce: string | null }) {
		try {
			const folder = await keepEvidence(name, { ...more, vm: lab.vm, state: lab.state, traces: lab.traces });
			this.#test.meta.pathproof?.evidence.push(folder);
			const body = await readFile(join(folder, 'path.txt'), 'utf8');
			const attachments = [{ contentType: 'text/plain', body, bodyEncoding: 'utf-8' as const }];
			await recordArtifact(this.#test, { type: 'pathproof:evidence', folder, attachments });
			return `evidence of what it traced: ${folder}`;
		} catch (error) {
			return `evidence of what it traced could not be kept: ${error instanceof Error ? error.message : error}`;
		}
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

function noted<E extends Pick<TestError, 'message' | 'stack'>>(error: E, notes: readonly string[]): E {
	if (!notes.length) return error;
	const note = `\n\n${notes.join('\n')}`;
	const { message, stack } = error;
	return Object.assign(error, {
		message: message + note,
		...(stack && { stack: stack.replace(message, () => message + note) }),
	});
}
