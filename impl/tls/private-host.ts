/**
 * For tests: a host of one's own on this machine's kernel. Its network, its mounts of /sys/fs/bpf, /sys/fs/cgroup and /run, and all that
 * is made there, go with it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PATHPROOF = fileURLToPath(new URL('../../ci/pathproof', import.meta.url));

/** Makes the cgroup, and takes it away when all in it have ended: also where a signal ends the tests with all of their group. */
const HOLD = `trap '' HUP INT TERM
mkdir "$1" || exit
unshare --mount --net --propagation private sh -c "$2" sh "$1"
echo 1 >"$1/cgroup.kill"
for each in $(seq 600); do find "$1" -depth -type d -exec rmdir {} + 2>/dev/null && exit; sleep 0.1; done
echo "$1 cannot be removed" >&2`;

/** In it, and in namespaces whose root it is. All that is in it ends with its standard input, however that ends. */
const BECOME = `set -e
echo $$ >"$1/cgroup.procs"
exec unshare --cgroup sh -c '
set -e
mount -t tmpfs none /run
mount -t bpf bpf /sys/fs/bpf
for each in $(findmnt -nro TARGET -R /sys/fs/cgroup | sort -r); do umount "$each"; done
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
echo $$
exec cat'`;

export interface Place {
	/** of `ip netns` there; the host's own without */
	netns?: string;
	/** below its /sys/fs/cgroup, which it is without; made where it is missing */
	cgroup?: string;
}

/** What this machine lacks for one; null: nothing. */
export function lacksPrivateHost(): string | null {
	if (process.geteuid?.() !== 0) return 'needs root';
	if (cgroupRoot() === null) return 'needs a mounted cgroup2';
	const { status, stderr } = spawnSync(
		'unshare',
		['--mount', '--net', '--cgroup', 'mount', '-t', 'bpf', 'bpf', '/mnt'],
		{
			encoding: 'utf8',
		},
	);
	return status === 0 ? null : `needs namespaces and bpffs: ${stderr.trim()}`;
}

export class PrivateHost implements AsyncDisposable {
	readonly #holder: ChildProcess;
	/** of a process in its namespaces */
	readonly #pid: string;

	static async make(): Promise<PrivateHost> {
		const cgroup = join(cgroupRoot()!, `pathproof-test-${process.pid}-${Date.now()}`);
		const holder = spawn('sh', ['-c', HOLD, 'sh', cgroup, BECOME], { stdio: ['pipe', 'pipe', 'inherit'] });
		const [pid] = await once(createInterface(holder.stdout!), 'line');
		return new PrivateHost(holder, pid);
	}

	private constructor(holder: ChildProcess, pid: string) {
		this.#holder = holder;
		this.#pid = pid;
	}

	/** A process there; it is killed with the host. */
	spawn(words: readonly string[], { netns, cgroup = '' }: Place = {}): ChildProcess {
		const inside = netns === undefined ? [...words] : ['ip', 'netns', 'exec', netns, ...words];
		const own = `/sys/fs/cgroup/${cgroup}`;
		const enter = `mkdir -p ${own} && echo 0 >${own}/cgroup.procs && exec "$@"`;
		const there = ['--target', this.#pid, '--mount', '--net', '--cgroup'];
		return spawn('nsenter', [...there, 'sh', '-c', enter, 'sh', ...inside], {
			stdio: ['pipe', 'pipe', 'pipe'],
			env: { ...process.env, NO_COLOR: '1' },
		});
	}

	/** Until it has ended. `input`: its standard input, and the end of it. */
	async run(words: readonly string[], { input = '', ...place }: Place & { input?: string } = {}) {
		const child = this.spawn(words, place);
		const texts = { stdout: '', stderr: '' };
		child.stdout!.on('data', (bytes) => (texts.stdout += bytes));
		child.stderr!.on('data', (bytes) => (texts.stderr += bytes));
		child.stdin!.on('error', () => undefined).end(input); // it may not read
		const [code] = (await once(child, 'close')) as [number | null];
		return { code, ...texts };
	}

	/** The same; throws where it does not end well. Answers what it printed. */
	async done(words: readonly string[], place: Place & { input?: string } = {}): Promise<string> {
		const { code, stdout, stderr } = await this.run(words, place);
		if (code === 0) return stdout;
		throw new Error(`${words.join(' ')} ended with ${code}: ${stderr}${stdout}`);
	}

	/** Commands of iproute2, one a line. */
	async ip(commands: string, netns?: string): Promise<void> {
		await this.done(['ip', '-batch', '-'], { input: commands, ...(netns && { netns }) });
	}

	pathproof(...words: string[]) {
		return this.run([PATHPROOF, ...words]);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const gone = once(this.#holder, 'exit');
		this.#holder.stdin!.end();
		await gone;
	}
}

/** Where cgroups of version 2 are; null: nowhere. */
export function cgroupRoot(): string | null {
	const line = readFileSync('/proc/self/mounts', 'latin1')
		.split('\n')
		.find((one) => one.split(' ')[2] === 'cgroup2');
	return line?.split(' ')[1] ?? null;
}
