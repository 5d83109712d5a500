/** `ip`: many commands for one start of it, since starting it takes longer than all it does. */
import { DatapathError } from '../errors.ts';
import { runIproute2 } from './iproute2.ts';

/** `ip rule` takes every prefix for IPv4 unless it is told otherwise, and a batch cannot tell it line by line. */
export const FAMILIES = ['-6', '-4'] as const;
export type Family = (typeof FAMILIES)[number];

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
	if (commands.length) await runIp(where.netns, ipBatchArgs(where), `${commands.join('\n')}\n`);
}

/** A command of a batch, and what was said of it. */
export interface Failure {
	command: string;
	said: string;
}

/** Runs every command, also behind those that fail, and answers these. `null` is this netns. */
export async function ipEach(netns: string | null, commands: readonly string[]): Promise<Failure[]> {
	if (!commands.length) return [];
	const input = `${commands.join('\n')}\n`;
	const args = ['-force', ...ipBatchArgs({})];
	const { status, stderr } = await runIproute2('ip', args, { netns, input });
	const failed = failures(stderr, input);
	if (status !== 0 && !failed.length) throw new DatapathError(`ip ${args.join(' ')} failed`, { log: stderr });
	return failed;
}

/** Each ends in `Command failed -:3`. */
export function failures(stderr: string, input: string): Failure[] {
	return [...stderr.matchAll(/(.*?)Command failed -:\d+\n?/gs)].map(([whole, said]) => ({
		command: failedCommand(whole, input) ?? input,
		said: said!.trim(),
	}));
}

/** What `ip -json …` prints: an array of objects as iproute2 names them. `null` is this netns. */
export async function ipJson<T>(netns: string | null, args: readonly string[]): Promise<T[]> {
	const text = await runIp(netns, ['-json', ...args]);
	return text.trim() ? (JSON.parse(text) as T[]) : [];
}

/** Words and not a line, in which some of them would mean something: what an owner has named. Answers what it printed. */
export async function runIp(netns: string | null, args: readonly string[], input = ''): Promise<string> {
	const { status, stdout, stderr } = await runIproute2('ip', args, { netns, input });
	if (status === 0) return stdout;
	const failed = failedCommand(stderr, input);
	const where = netns === null ? '' : `-n ${netns} `;
	throw new DatapathError(`ip ${where}${args.join(' ')}${failed ? `: "${failed}"` : ''} failed`, { log: stderr });
}

/** `Command failed -:3` is all that a batch says of where it stopped. */
export function failedCommand(stderr: string, input: string): string | null {
	const line = /Command failed -:(\d+)/.exec(stderr)?.[1];
	return line ? (input.split('\n')[Number(line) - 1] ?? null) : null;
}
