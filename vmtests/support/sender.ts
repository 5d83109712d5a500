/** Frames from a node of a lab, sent by a process there: of a container's owner where the lab has one, else of root. */
import { GUEST_HOME } from '../../kernels/agent/protocol.ts';
import { PathproofError } from '../../kernels/errors.ts';
import type { GuestProcess, Remote, Vm } from '../../kernels/vm.ts';
import type { BpfRequest, SenderOptions, SendRequest } from './guest/frames.ts';
import type { Node } from './nodes.ts';

const GUEST = 'vmtests/support/guest/frames.ts';
const PROCESS = [`${GUEST_HOME}/bin/node`, `${GUEST_HOME}/payload/vmtests/support/guest/frames.mjs`];
type GuestFrames = Remote<typeof import('./guest/frames.ts')>;

export interface Sender {
	/**
	 * One after the other, `times` over (1 without). Answers for each frame the kernel's error, null where it was taken: that a hook
	 * dropped it is told by few kernels and devices.
	 */
	send(frames: readonly Buffer[], times?: number): Promise<(string | null)[]>;
}

interface Answer {
	id: number;
	socket?: number;
	errors?: Record<number, string>;
	error?: string | null;
	failed?: string;
}

/** One process for each node. */
const processes = new WeakMap<Node, Promise<SendingProcess>>();

/** Throws a PathproofError (`call`) where the node may not, or cannot: no AF_XDP, no such device. */
export async function openSender(node: Node, options: SenderOptions): Promise<Sender> {
	const sending = await processOf(node);
	const { socket } = await sending.ask({ open: options });
	return {
		async send(frames, times) {
			const hex = frames.map((frame) => frame.toString('hex'));
			const { errors = {} } = await sending.ask({ socket: socket!, frames: hex, times });
			return frames.map((_, index) => errors[index] ?? null);
		},
	};
}

/** bpf(2), called by that process. Answers the name of its error, null where the kernel did it. */
export async function callBpf(node: Node, command: number, attr: Buffer): Promise<string | null> {
	const { error } = await (await processOf(node)).ask({ bpf: command, attr: attr.toString('hex') });
	return error!;
}

function processOf(node: Node): Promise<SendingProcess> {
	if (!processes.has(node)) processes.set(node, SendingProcess.start(node));
	return processes.get(node)!;
}

class SendingProcess {
	readonly #process: GuestProcess;
	readonly #waiting = new Map<number, (answer: Answer) => void>();
	#rest = '';
	#asked = 0;

	static async start(node: Node): Promise<SendingProcess> {
		const started = await node.spawnAsOwner(PROCESS, { keepInput: true });
		await started.waitFor(/"id":0/, 90_000);
		return new SendingProcess(started);
	}

	constructor(started: GuestProcess) {
		this.#process = started;
		started.onOutput((bytes, stream) => {
			if (stream === 'stdout') this.#take(Buffer.from(bytes).toString());
		});
	}

	async ask(request: { open: SenderOptions } | SendRequest | BpfRequest): Promise<Answer> {
		const id = ++this.#asked;
		const { promise, resolve } = Promise.withResolvers<Answer>();
		this.#waiting.set(id, resolve);
		await this.#process.write(`${JSON.stringify({ id, ...request })}\n`);
		const ended = this.#process.ended.then(({ stderr }): Answer => ({ id, failed: `the sender ended: ${stderr}` }));
		const answer = await Promise.race([promise, ended]);
		if (answer.failed !== undefined)
			throw new PathproofError(answer.failed, {
				stage: 'call',
				hint: 'has the kernel such a socket, the node such a device?',
			});
		return answer;
	}

	#take(text: string): void {
		const lines = (this.#rest + text).split('\n');
		this.#rest = lines.pop()!;
		for (const line of lines) {
			const answer = JSON.parse(line) as Answer;
			this.#waiting.get(answer.id)?.(answer);
			this.#waiting.delete(answer.id);
		}
	}
}

/** What somebody hears. */
export interface Ear {
	/** frames, or a port's datagrams, since it was last asked */
	heard(): Promise<Buffer[]>;
	stop(): Promise<void>;
}

/** Everything that a device receives, before any program of tc's. `netns`: null for the guest's initial one. */
export function listenOn(vm: Vm, netns: string | null, device: string): Promise<Ear> {
	return ear(vm, (guest) => guest.hear(netns, device));
}

/** The datagrams that a UDP port is given, of either family. */
export function listenToPort(vm: Vm, netns: string | null, port: number): Promise<Ear> {
	return ear(vm, (guest) => guest.hearDatagrams(netns, port));
}

async function ear(vm: Vm, open: (guest: GuestFrames) => Promise<number>): Promise<Ear> {
	const guest: GuestFrames = vm.use<typeof import('./guest/frames.ts')>(GUEST);
	const opened = await open(guest);
	return {
		heard: async () => (await guest.heard(opened)).map((bytes) => Buffer.from(bytes)),
		stop: () => guest.stopHearing(opened),
	};
}
