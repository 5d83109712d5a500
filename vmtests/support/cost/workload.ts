/** What a client asks of its server, and running it: between a node of a lab and the peer. */
import { PathproofError } from '../../../kernels/errors.ts';
import type { GuestProcess, Vm } from '../../../kernels/vm.ts';

export const PROTOCOLS = ['tcp_rr', 'udp_rr', 'tcp_crr'] as const;

export interface Workload {
	protocol: (typeof PROTOCOLS)[number];
	/** of client and server each; a thread has every so many-th flow */
	threads: number;
	/** connections, or UDP sockets of the client, each with one request under way */
	flows: number;
	/** of a request, and of a response */
	bytes: number;
	/** transactions of all flows before the window, and in it: multiples of the flows, so that it ends as it began */
	warm: number;
	count: number;
}

/** The first talk's: 500 flows, 36 threads, one byte. Of a thousand transactions the totals of three forks differed by 0.008 %. */
export const TALK: Workload = { protocol: 'tcp_rr', threads: 36, flows: 500, bytes: 1, warm: 2_000, count: 1_000 };

const PORT = 7000;

export function serverWords(program: string, { protocol, threads, bytes }: Workload, address: string): string[] {
	return [program, 'serve', protocol, address, ...[PORT, threads, bytes].map(String)];
}

/** `window`: the pinned map that the client opens and closes. */
export function clientWords(
	program: string,
	{ protocol, threads, bytes, flows, warm, count }: Workload,
	address: string,
	window: string | null,
): string[] {
	const numbers = [PORT, threads, bytes, flows, warm, count].map(String);
	return [program, 'ask', protocol, address, ...numbers, ...(window ? [window] : [])];
}

/**
 * Of the class SCHED_FIFO each thread runs until it waits, and nothing hangs on where in a tick of the clock it began: under the fair
 * scheduler, on 7.3, the same 4,000 transactions of 500 flows took from 32,800 to 35,900 instructions each. The kernel would keep
 * the class from the CPU for 0.05 s of each second; and before 6.5 (d15121be7485) it leaves packets to ksoftirqd once that is
 * awake, which then must not wait for them.
 */
export function firstComeFirstServed(argv: readonly string[]): string[] {
	const words = [
		'echo -1 >/proc/sys/kernel/sched_rt_runtime_us',
		'chrt --fifo --pid 2 $(pgrep -x ksoftirqd/0)',
		'exec chrt --fifo 1 "$@"',
	];
	return ['sh', '-c', words.join(' && '), 'sh', ...argv];
}

export interface Window {
	transactions: number;
	/** of the whole machine, from the window's beginning to its end; time in which it idles is in it */
	instructions: number;
}

/** A program that waits until it is let go: by then it has a pid, and a side. */
export interface Held {
	pid: number;
	go(): Promise<Window>;
}

export async function holdClient(vm: Vm, argv: readonly string[], netns: string | null): Promise<Held> {
	const client = await vm.spawn(['sh', '-c', 'read go; exec "$@"', 'sh', ...argv], {
		keepInput: true,
		...(netns !== null && { netns }),
	});
	return { pid: client.pid, go: () => finish(client, argv) };
}

async function finish(client: GuestProcess, argv: readonly string[]): Promise<Window> {
	await client.write('\n');
	await client.endInput();
	const { stdout, stderr, code } = await client.ended;
	if (code === 0) return JSON.parse(stdout) as Window;
	throw new PathproofError(`${argv.join(' ')} ended with ${code}: ${stderr}`, {
		stage: 'call',
		hint: 'does its server run, and is it within reach?',
	});
}
