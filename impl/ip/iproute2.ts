/** How the programs of iproute2 are run. node:child_process and not a library: this runs in small guests too, where each module to load is felt. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { DatapathError } from '../errors.ts';
import { heldLock } from '../state/held.ts';

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export interface Said {
	/** its exit status; null where a signal ended it */
	status: number | null;
	stdout: string;
	stderr: string;
}

/**
 * In a netns it is born there; `null` is this one. `ip -n` would do as well, but takes a mount namespace of its own, which copies every
 * mount of this one: a netns is one, and there are as many as containers.
 */
export async function runIproute2(
	program: 'ip' | 'ss',
	args: readonly string[],
	{ netns = null, input = '' }: { netns?: string | null; input?: string } = {},
): Promise<Said> {
	const child = await start(program, netns, args);
	const said: Said = { status: null, stdout: '', stderr: '' };
	for (const stream of ['stdout', 'stderr'] as const)
		child[stream].setEncoding('utf8').on('data', (text: string) => {
			said[stream] += text;
		});
	// it may have ended at the first command and read no further; what it said tells why
	child.stdin.on('error', () => undefined);
	child.stdin.end(input);
	said.status = await new Promise((resolve, reject) => {
		child.on('error', (cause) =>
			reject(new DatapathError(`${program} cannot be run`, { lacking: true, hint: 'apt-get install iproute2', cause })),
		);
		child.on('close', resolve);
	});
	return said;
}

async function start(program: string, netns: string | null, args: readonly string[]): Promise<Child> {
	// what is begun is done before another process may change this host, also when this one is killed meanwhile
	const begin = () => spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe', heldLock() ?? 'ignore'] }) as Child;
	if (netns === null) return begin();
	// not imported above: who stays in this netns needs no libbpf
	const { inNetns } = await import('../netns.ts');
	return inNetns(netns, begin);
}
