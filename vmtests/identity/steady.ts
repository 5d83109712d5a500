/** A container that talks with the peer, and with itself, while something else happens: fixtures/identity/steady.py. */
import type { GuestProcess } from '../../kernels/vm.ts';
import { PEER } from '../state/scene.ts';
import { ADDRESSES, type IdentityScene } from './scene.ts';

const PORT = 7;

export class Steady implements AsyncDisposable {
	#talk: GuestProcess;
	#peer: GuestProcess;

	private constructor(talk: GuestProcess, peer: GuestProcess) {
		this.#talk = talk;
		this.#peer = peer;
	}

	/** Resolves once each of its calls was made. */
	static async start(scene: IdentityScene, name: keyof typeof ADDRESSES): Promise<Steady> {
		const peer = await scene.serve(null, '::', PORT);
		const argv = ['python3', '/run/steady.py', ADDRESSES[name].ipv6, PEER.ipv6, `${PORT}`, '4000'];
		const talk = await scene.start(name, argv);
		await talk.waitFor(/^talking/m, 30_000);
		return new Steady(talk, peer);
	}

	/** Answers what went wrong: calls that failed, or told another address than they should. */
	async stop(): Promise<string[]> {
		await this.#talk.kill('SIGTERM');
		const { stdout, stderr } = await this.#talk.ended;
		await this.#peer.kill();
		const [, rounds] = /^(\d+) rounds$/m.exec(stdout) ?? [];
		const wrong = stdout.split('\n').filter((line) => line.startsWith('failed'));
		return Number(rounds) > 1 ? wrong : [...wrong, `it did not talk: ${stdout}${stderr}`];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#talk[Symbol.asyncDispose]();
		await this.#peer[Symbol.asyncDispose]();
	}
}
