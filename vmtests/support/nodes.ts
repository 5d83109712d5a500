/** The ends of a lab, and what a test makes them do. What sends packets answers the trace of them. */
import { randomInt } from 'node:crypto';
import { PathproofError } from '../../kernels/errors.ts';
import type { ExecOptions, ExecResult, GuestProcess, Vm } from '../../kernels/vm.ts';
import type { Trace } from './trace/trace.ts';
import type { PacketFilter } from './trace/types.ts';
import type { LabNode } from './types.ts';

export interface StimulusOptions {
	/** 6 without */
	family?: 4 | 6;
}

export interface UdpOptions extends StimulusOptions {
	/** bytes that are sent, 16 without; as many as hold it begin with a nonce */
	size?: number;
	/** false: nobody listens there, so that the packet is dropped */
	listen?: boolean;
}

export interface Throughput {
	bytes: number;
	seconds: number;
	retransmits: number;
}

const NONCE_SIZE = 16;

/** What the tracer finds in a payload (trace/events.ts), different each time. */
function newNonce(): Buffer {
	return Buffer.from(
		`pathproof-${randomInt(36 ** 6)
			.toString(36)
			.padStart(6, '0')}`,
	);
}

/** Follows the packets of the filter while `act` runs. */
export type Tracer = (filter: PacketFilter, act: () => Promise<unknown>) => Promise<Trace>;

export class Node implements LabNode {
	readonly name: LabNode['name'];
	readonly netns: string | null;
	readonly ipv6: string;
	readonly ipv4: string;
	readonly #pid: number | undefined;
	#vm: Vm;
	#trace: Tracer;

	constructor({ name, netns, ipv6, ipv4, pid }: LabNode, vm: Vm, trace: Tracer) {
		this.#pid = pid;
		this.name = name;
		this.netns = netns;
		this.ipv6 = ipv6;
		this.ipv4 = ipv4;
		this.#vm = vm;
		this.#trace = trace;
	}

	/** Run a program to its end in this node's netns. Throws a PathproofError (`call`) where it fails. */
	exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult> {
		return this.#vm.exec(argv, this.#here(options));
	}

	/** Start a program in this node's netns. */
	spawn(argv: readonly string[], options?: ExecOptions): Promise<GuestProcess> {
		return this.#vm.spawn(argv, this.#here(options));
	}

	/**
	 * What the container's owner types to run this: root, with all capabilities, in its own user and network namespace and nowhere else. For
	 * `vm.exec` and `vm.spawn`. Throws stage `usage` where the lab was not asked with `userns`.
	 */
	asTenant(argv: readonly string[]): string[] {
		if (this.#pid === undefined)
			throw new PathproofError(`${this.name} has no user namespace of its own`, {
				stage: 'usage',
				hint: 'lab({ userns: true })',
			});
		return ['nsenter', '--target', String(this.#pid), '--user', '--net', '--', ...argv];
	}

	/** Run a program to its end as the container's owner. Throws a PathproofError (`call`) where it fails. */
	tenant(argv: readonly string[], options?: ExecOptions): Promise<ExecResult> {
		return this.#vm.exec(this.asTenant(argv), options);
	}

	/** Start a program as the container's owner, where the lab gave it one; else as root in this node's netns. */
	spawnAsOwner(argv: readonly string[], options?: ExecOptions): Promise<GuestProcess> {
		return this.#pid === undefined ? this.spawn(argv, options) : this.#vm.spawn(this.asTenant(argv), options);
	}

	/** One echo request and its reply. Throws where no reply comes. */
	ping(to: Node, { family = 6 }: StimulusOptions = {}): Promise<Trace> {
		return this.#trace({ protocol: 'icmp', family }, () =>
			this.exec(['ping', `-${family}`, '-c', '1', '-W', '5', '-p', newNonce().toString('hex'), to.address(family)]),
		);
	}

	/** One datagram. */
	async udp(to: Node, port: number, { family = 6, size = NONCE_SIZE, listen = true }: UdpOptions = {}): Promise<Trace> {
		const nonce = newNonce();
		const input = Buffer.alloc(size);
		nonce.copy(input);
		const send = () => this.exec(['socat', '-u', '-', `UDP${family}-SENDTO:${to.literal(family)}:${port}`], { input });
		const filter: PacketFilter = { protocol: 'udp', family, port };
		if (!listen) return this.#trace(filter, send);
		await using listener = await to.spawn(['socat', '-u', '-dd', '-b', '65536', `UDP${family}-RECV:${port}`, 'STDOUT']);
		await listener.waitFor(/starting data transfer loop/);
		return await this.#trace(filter, async () => {
			await send();
			await listener.waitFor(new RegExp(`^${nonce.toString('latin1', 0, size).replaceAll('\0', '\\0')}`));
		});
	}

	/** One HTTP request and its answer, over a connection of its own. Throws where the answer is not 200. */
	async curl(to: Node, { family = 6 }: StimulusOptions = {}): Promise<Trace> {
		const port = 80;
		await using server = await to.spawn([
			'busybox',
			'httpd',
			'-f',
			'-p',
			`${to.literal(family)}:${port}`,
			'-h',
			'/etc',
		]);
		await to.listening('t', port);
		const trace = await this.#trace({ protocol: 'tcp', family, port }, () =>
			this.exec([
				'curl',
				`-${family}`,
				'-sS',
				'--fail',
				'--max-time',
				'10',
				'-o',
				'/dev/null',
				`http://${to.literal(family)}:${port}/hostname`,
			]),
		);
		await server.kill();
		return trace;
	}

	/** Bulk TCP, untraced: `megabytes` (4 without) from here to there. */
	async iperf3(
		to: Node,
		{ family = 6, megabytes = 4 }: StimulusOptions & { megabytes?: number } = {},
	): Promise<Throughput> {
		await using _server = await to.spawn(['iperf3', '--server', '--one-off', '--forceflush']);
		await to.listening('t', 5201);
		const { stdout } = await this.exec(
			['iperf3', `-${family}`, '--client', to.address(family), '--bytes', `${megabytes}M`, '--json'],
			{ timeout: 60_000 },
		);
		const { end } = JSON.parse(stdout) as {
			end: { sum_sent: { retransmits?: number }; sum_received: { bytes: number; seconds: number } };
		};
		const { bytes, seconds } = end.sum_received;
		return { bytes, seconds, retransmits: end.sum_sent.retransmits ?? 0 };
	}

	address(family: 4 | 6): string {
		return family === 6 ? this.ipv6 : this.ipv4;
	}

	/** As it stands before a port: `[fd00::1]` */
	literal(family: 4 | 6): string {
		return family === 6 ? `[${this.ipv6}]` : this.ipv4;
	}

	/** Waits until a socket listens here. `t`: TCP, `u`: UDP. */
	async listening(kind: 't' | 'u', port: number): Promise<void> {
		for (let tries = 0; tries < 50; tries++) {
			const { stdout } = await this.exec(['ss', `-Hln${kind}`, `sport = :${port}`]);
			if (stdout.trim()) return;
		}
		throw new PathproofError(`nothing listens on port ${port} of ${this.name}`, {
			stage: 'call',
			hint: 'is another server on that port?',
		});
	}

	#here(options: ExecOptions = {}): ExecOptions {
		return this.netns === null ? options : { ...options, netns: this.netns };
	}
}
