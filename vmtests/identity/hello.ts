/** Servers that say their name, and clients that count who answers them: fixtures/identity/hello.c in a guest. */
import { type ExecOptions, expect, type GuestProcess } from 'pathproof';
import { buildNative } from '../support/native.ts';
import type { IdentityScene } from './scene.ts';

const HELLO = '/run/hello';

/** What a client prints. */
export interface Tally {
	/** as each was named: how often who answered, and how often which error came instead */
	targets: Record<string, { answers: Record<string, number>; failures: Record<string, number> }>;
	/** answers to another question, or by another name than was asked for */
	misdelivered: number;
	/** of the guest's clock: from the first request to the last, and the longest that one waited */
	nanoseconds: number;
	longest: number;
}

export interface Questions {
	/** `hold` keeps one connection to each target */
	how: 'ask' | 'hold';
	/** requests a second */
	rate: number;
	/** in all, to one target after the other; until the client is told to stop without */
	count?: number;
	port: number;
	/** addresses, or `NAME@ADDRESS` where nobody else may answer */
	targets: readonly string[];
}

export interface Asking {
	/** once all was asked */
	ended(): Promise<Tally>;
	/** asks no more, and waits for what was asked */
	stop(): Promise<Tally>;
}

const ENDLESS = 1_000_000_000;

export class Hello {
	readonly #scene: IdentityScene;

	private constructor(scene: IdentityScene) {
		this.#scene = scene;
	}

	static async in(scene: IdentityScene): Promise<Hello> {
		await scene.vm.writeFile(HELLO, await buildNative('fixtures/identity/hello.c'), 0o755);
		return new Hello(scene);
	}

	/** Serves TCP and UDP as `name`; `null` is the peer. Listens once this resolves. */
	async serve(container: string | null, port: number): Promise<GuestProcess> {
		const server = await this.#spawn(container, ['serve', container ?? 'peer', String(port)]);
		await server.waitFor(/^serving/, 60_000);
		return server;
	}

	/** `null`: from the peer. */
	async ask(container: string | null, questions: Questions, options?: ExecOptions): Promise<Tally> {
		const { vm, within } = this.#scene;
		const argv = [HELLO, ...words(questions)];
		const { stdout } = await (container === null
			? vm.exec(argv, { netns: 'peer', timeout: 120_000, ...options })
			: vm.exec(within(container, argv), { timeout: 120_000, ...options }));
		return parse(stdout);
	}

	/** Goes on beside the test. Has begun once this resolves. */
	async keepAsking(container: string | null, questions: Questions): Promise<Asking> {
		const client = await this.#spawn(container, words(questions));
		await client.waitFor(/^asking/, 60_000);
		const ended = async () => {
			const { stdout, stderr, code } = await client.ended;
			expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
			return parse(stdout);
		};
		return {
			ended,
			async stop() {
				await client.kill('SIGTERM');
				return ended();
			},
		};
	}

	#spawn(container: string | null, argv: readonly string[]): Promise<GuestProcess> {
		const { vm, within } = this.#scene;
		return container === null
			? vm.spawn([HELLO, ...argv], { netns: 'peer' })
			: vm.spawn(within(container, [HELLO, ...argv]));
	}
}

/** Of all targets: how often who answered. */
export function answers({ targets }: Tally): Record<string, number> {
	return sum(Object.values(targets).map(({ answers }) => answers));
}

export function failures({ targets }: Tally): Record<string, number> {
	return sum(Object.values(targets).map(({ failures }) => failures));
}

function sum(tallies: readonly Record<string, number>[]): Record<string, number> {
	const all: Record<string, number> = {};
	for (const tally of tallies) for (const [word, count] of Object.entries(tally)) all[word] = (all[word] ?? 0) + count;
	return all;
}

function words({ how, rate, count = ENDLESS, port, targets }: Questions): string[] {
	return [how, ...[rate, count, port].map(String), ...targets];
}

function parse(stdout: string): Tally {
	return JSON.parse(stdout.split('\n').at(-2)!) as Tally;
}
