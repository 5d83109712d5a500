/**
 * Drops made on purpose. A row is one cause: the packet that meets it, the hop before its end, and what the kernel says of it. Each is a
 * test of its own, which sends the packet twice: without the cause it is delivered, with it it is dropped, there and for that reason.
 */
import { buildProgram, expect, type GuestProcess, type PacketPath, type Trace, test } from 'pathproof';
import type { FeatureName } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import type { Lab } from '../support/lab.ts';
import { turn } from '../support/turns.ts';
import type { Device } from '../support/types.ts';

export interface Packet {
	/** `udp` without: datagrams; `tcp`: a connection, of which the SYN is judged */
	protocol?: 'udp' | 'tcp';
	/** `web` without. The other end is the peer; web is the peer's. */
	from?: 'web' | 'peer';
	/** 6 without */
	family?: 4 | 6;
	/** bytes of a datagram, 16 without */
	size?: number;
	/** datagrams one behind the other, of which the last is judged; 1 without */
	count?: number;
	/** `last` without */
	judged?: 'first' | 'last';
	/** further options of the sender's socket, as socat has them */
	sender?: string;
	/** it has extension headers, behind which the tracer's filter looks for no port */
	extended?: boolean;
}

export interface Cause {
	/** a sentence: what is dropped, and by whom */
	title: string;
	packet?: Packet;
	/** what both packets find */
	given?: Step;
	/** what only the second one finds */
	cause?: Step;
	/** what is different of the second one itself */
	instead?: Pick<Packet, 'sender'>;
	/** the hop before the drop, or the program that drops */
	at: string;
	/** the hop before, where the kernel does not say what a qdisc takes (before 5.15, 70713dddf3d2) */
	atUnseenQueue?: string;
	/**
	 * The kernel's names for the reason, newest first: it must give the first one that it has. Behind them the functions that drop, for
	 * kernels without reasons (before 5.17) and for drops that have none to this day.
	 */
	reason: readonly string[];
	/** of the container; `veth` without, or `netkit-l3` where the kernel has no modules */
	device?: Device;
	needs?: readonly FeatureName[];
	/** a variation of another row: only in the full run */
	full?: boolean;
}

export type Step = (lab: Lab, listener: Listener) => Promise<unknown>;

export const PORT = 9;

/** A shell command on one node. */
export function run(node: 'web' | 'host' | 'peer', command: string): Step {
	return (lab) => lab[node].exec(['sh', '-c', command]);
}

export function all(...steps: Step[]): Step {
	return async (lab, listener) => {
		for (const step of steps) await step(lab, listener);
	};
}

/** Another listener instead of the one there was, with these options of socat's. */
export function listenWith(options: string): Step {
	return async (_, listener) => {
		await listener.end();
		await listener.start(options);
	};
}

const PROGRAMS = 'fixtures/misfortunes.bpf.c';
const PINNED = '/sys/fs/bpf/misfortunes';

/** On what the container sends (`web`), or on what comes from the wire (`eth0`). */
export function ingress(device: 'web' | 'eth0', program: string): Step {
	return ({ load }) => load(PROGRAMS, { device, program });
}

/** Loads all of the programs; `command` attaches one of them, by its file in $PINNED. */
export function pinned(command: string): Step {
	return async ({ vm, host }) => {
		await vm.writeFile('/run/misfortunes.o', await buildProgram(PROGRAMS));
		await host.exec(['sh', '-c', `bpftool prog loadall /run/misfortunes.o ${PINNED} && ${command}`], {
			env: { PINNED },
		});
	};
}

/** A test for each. */
export function testDrops(causes: readonly Cause[]): void {
	const sampled = causes.filter(({ full }) => !full);
	for (const row of causes) {
		const { title, packet = {}, given, cause, instead, at, atUnseenQueue, reason, device, needs, full } = row;
		const options = full ? { tags: [FULL] } : turn(sampled.indexOf(row), ...(needs ?? []));
		test(title, options, async ({ lab, requires }) => {
			if (needs) await requires(...needs);
			// what the kernel drops by itself: no packet is judged by the datapath before
			const here = await lab({ device, guard: false });
			await using listener = new Listener(here, packet);
			await listener.start();
			await given?.(here, listener);
			expect(judgedOf(await send(here, packet), packet)).toBeAccountedFor({ delivered: 1 });

			await cause?.(here, listener);
			const trace = await send(here, { ...packet, ...instead });
			const place = trace.symbols.includes('qdisc_enqueue') ? at : (atUnseenQueue ?? at);
			expect(judgedOf(trace, packet)).toBeDroppedAt(place, reasonsHere(trace, reason));
		});
	}
}

/** The first of the names that the kernel of this trace has, and no other; the functions where it has none of them. */
export function reasonsHere({ reasons }: Trace, wanted: readonly string[]): readonly string[] {
	const known = wanted.find((name) => reasons!.includes(name));
	return known ? [known] : wanted;
}

/** Of a connection the first packet, of datagrams the last: the one that the cause is for. */
function judgedOf(
	trace: Trace,
	{ protocol = 'udp', judged = protocol === 'tcp' ? 'first' : 'last' }: Packet,
): PacketPath[] {
	const sent = trace.packets.filter(({ packet }) => packet.destinationPort === PORT);
	return judged === 'first' ? sent.slice(0, 1) : sent.slice(-1);
}

/** A socket of the receiver that reads what comes. */
export class Listener implements AsyncDisposable {
	#to: Lab['web'];
	#address: string;
	#process: GuestProcess | undefined;

	constructor(lab: Lab, { protocol = 'udp', from = 'web', family = 6 }: Packet) {
		this.#to = from === 'web' ? lab.peer : lab.web;
		this.#address = protocol === 'udp' ? `UDP${family}-RECV:${PORT}` : `TCP${family}-LISTEN:${PORT},fork`;
	}

	async start(options = ''): Promise<void> {
		const address = options ? `${this.#address},${options}` : this.#address;
		this.#process = await this.#to.spawn(['socat', '-u', '-dd', '-b', '65536', address, '/dev/null']);
		await this.#process.waitFor(/starting data transfer loop|listening on/);
	}

	/** It stays, and reads no more. */
	async stop(): Promise<void> {
		await this.#process?.kill('SIGSTOP');
	}

	async end(): Promise<void> {
		await this.#process?.[Symbol.asyncDispose]();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.end();
	}
}

/** Sends it, traced. */
export function send(lab: Lab, packet: Packet): Promise<Trace> {
	const { protocol = 'udp', from = 'web', family = 6, size = 16, count = 1, sender, extended } = packet;
	const to = from === 'web' ? lab.peer : lab.web;
	const address = `${to.literal(family)}:${PORT}${sender ? `,${sender}` : ''}`;
	const target = protocol === 'udp' ? `UDP${family}-SENDTO:${address}` : `TCP${family}:${address},connect-timeout=0.3`;
	return lab.trace(extended ? { family } : { protocol, family, port: PORT }, () =>
		// a datagram for each block that is read
		lab[from].exec(['socat', '-u', '-b', String(size), '-', target], {
			input: Buffer.alloc(size * count),
			reject: false,
		}),
	);
}
