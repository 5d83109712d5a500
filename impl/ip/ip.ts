/**
 * iproute2: many commands for one start of it, since starting it takes longer than all it does. node:child_process and not a
 * library: this runs in small guests too, where each module to load is felt.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { DatapathError } from '../errors.ts';
import { heldLock } from '../state/held.ts';

/** `ip rule` takes every prefix for IPv4 unless it is told otherwise, and a batch cannot tell it line by line. */
export const FAMILIES = ['-6', '-4'] as const;
export type Family = (typeof FAMILIES)[number];

type Ip = ChildProcessByStdio<Writable, Readable, Readable>;

export interface IpPlace {
	/** null is this one */
	netns: string | null;
	family?: Family;
}

/** What to type after `ip`, for commands that come on standard input. */
export function ipBatchArgs({ family }: Pick<IpPlace, 'family'>): string[] {
	return [...(family ? [family] : []), '-batch', '-'];
}

/** Runs the commands in order, each as one would type it after `ip`; stops at the first that fails. `null` is this netns. */
export async function ipBatch(place: IpPlace | string | null, commands: readonly string[]): Promise<void> {
	const where = typeof place === 'object' && place !== null ? place : { netns: place };
	if (commands.length) await run(where.netns, ipBatchArgs(where), `${commands.join('\n')}\n`);
}

/** What `ip -json …` prints: an array of objects as iproute2 names them. `null` is this netns. */
export async function ipJson<T>(netns: string | null, args: readonly string[]): Promise<T[]> {
	const text = await run(netns, ['-json', ...args]);
	return text.trim() ? (JSON.parse(text) as T[]) : [];
}

/**
 * In a netns it is born there. `ip -n` would do as well, but takes a mount namespace of its own, which copies every mount of this one: a
 * netns is one, and there are as many as containers.
 */
async function start(netns: string | null, args: readonly string[]): Promise<Ip> {
	// what is begun is done before another process may change this host, also when this one is killed meanwhile
	const begin = () => spawn('ip', args, { stdio: ['pipe', 'pipe', 'pipe', heldLock() ?? 'ignore'] }) as Ip;
	if (netns === null) return begin();
	// not imported above: who stays in this netns needs no libbpf
	const { inNetns } = await import('../netns.ts');
	return inNetns(netns, begin);
}

async function run(netns: string | null, args: readonly string[], input = ''): Promise<string> {
	const child = await start(netns, args);
	let log = '';
	let said = '';
	child.stdout.setEncoding('utf8').on('data', (text: string) => {
		said += text;
	});
	child.stderr.setEncoding('utf8').on('data', (text: string) => {
		log += text;
	});
	// it may have ended at the first command and read no further; what it said tells why
	child.stdin.on('error', () => undefined);
	child.stdin.end(input);
	const status = await new Promise<number | null>((resolve, reject) => {
		child.on('error', (cause) =>
			reject(new DatapathError('ip cannot be run', { lacking: true, hint: 'apt-get install iproute2', cause })),
		);
		child.on('close', resolve);
	});
	if (status === 0) return said;
	const failed = failedCommand(log, input);
	const where = netns === null ? '' : `-n ${netns} `;
	throw new DatapathError(`ip ${where}${args.join(' ')}${failed ? `: "${failed}"` : ''} failed`, { log });
}

/** `Command failed -:3` is all that a batch says of where it stopped. */
export function failedCommand(stderr: string, input: string): string | null {
	const line = /Command failed -:(\d+)/.exec(stderr)?.[1];
	return line ? (input.split('\n')[Number(line) - 1] ?? null) : null;
}
