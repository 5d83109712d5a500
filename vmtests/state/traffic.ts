/** A container that talks with the peer while something else happens: an echo request every 50 ms, and its reply. */
import type { GuestProcess, Vm } from '../../kernels/vm.ts';
import { PEER } from './scene.ts';

/** Echo requests of half a second: a busy machine answers that late. */
const ON_ITS_WAY = 10;

export class Traffic implements AsyncDisposable {
	#ping: GuestProcess;
	#said = '';

	private constructor(ping: GuestProcess) {
		this.#ping = ping;
		ping.onOutput((bytes) => {
			this.#said += Buffer.from(bytes).toString();
		});
	}

	/** Resolves with the first reply. */
	static async start(vm: Vm, netns: string): Promise<Traffic> {
		const ping = await vm.spawn(['ping', '-i', '0.05', PEER.ipv6], { netns });
		const traffic = new Traffic(ping);
		await ping.waitFor(/icmp_seq=\d+ ttl/);
		return traffic;
	}

	/** Answers which were lost; what is on its way when it is stopped, of the last half second, is not. */
	async stop(): Promise<string[]> {
		await this.#ping.kill('SIGINT');
		await this.#ping.ended;
		const replies = new Set([...this.#said.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, sequence]) => Number(sequence)));
		const last = Math.max(...replies);
		const sent = Number(/(\d+) packets transmitted/.exec(this.#said)?.[1]);
		const until = sent - last > ON_ITS_WAY ? sent : last;
		const lost = Array.from({ length: until }, (_, index) => index + 1).filter((sequence) => !replies.has(sequence));
		// also what ping itself said: an address that is unreachable for a moment, a device that is down
		const errors = this.#said.split('\n').filter((line) => /unreachable|sendmsg|down/i.test(line));
		return [...lost.map((sequence) => `echo ${sequence} of ${sent}`), ...errors];
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#ping[Symbol.asyncDispose]();
	}
}
