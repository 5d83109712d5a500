/**
 * Programs that end in the middle of what they do, and all that they started with them: at the N-th system call that changes the
 * kernel's state, whoever of them makes it. The program that ends them is fixtures/kill.bpf.c.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachRawTracepoint } from '../../../impl/libbpf/attach.ts';
import { type BpfMap, u32 } from '../../../impl/libbpf/map.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';

const CGROUP = '/sys/fs/cgroup/to-be-ended';

const ALL = (1n << 64n) - 1n;
/** O_CREAT | O_EXCL: the file that a netns is mounted on. O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC: a sysctl, as Node writes it. */
const OPEN_TO_CHANGE = [0o300n, 0o2001101n] as const;
/** BPF_MAP_CREATE … of linux/bpf.h: those that only look are left out. */
const BPF_CHANGES = [0, 2, 3, 5, 6, 8, 9, 18, 22, 26, 27, 28, 29, 34].reduce(
	(bits, command) => bits | (1n << BigInt(command)),
	0n,
);

interface Rule {
	numbers: { x64: number; arm64: number | null };
	/** which first arguments count */
	first?: bigint;
	/** which third arguments count */
	third?: readonly [bigint, bigint];
}

const RULES: Record<string, Rule> = {
	bpf: { numbers: { x64: 321, arm64: 280 }, first: BPF_CHANGES },
	sendmsg: { numbers: { x64: 46, arm64: 211 } },
	sendto: { numbers: { x64: 44, arm64: 206 } },
	mount: { numbers: { x64: 165, arm64: 40 } },
	umount2: { numbers: { x64: 166, arm64: 39 } },
	mkdir: { numbers: { x64: 83, arm64: null } },
	mkdirat: { numbers: { x64: 258, arm64: 34 } },
	rmdir: { numbers: { x64: 84, arm64: null } },
	rename: { numbers: { x64: 82, arm64: null } },
	renameat: { numbers: { x64: 264, arm64: 38 } },
	renameat2: { numbers: { x64: 316, arm64: 276 } },
	unlink: { numbers: { x64: 87, arm64: null } },
	unlinkat: { numbers: { x64: 263, arm64: 35 } },
	setns: { numbers: { x64: 308, arm64: 268 } },
	unshare: { numbers: { x64: 272, arm64: 97 } },
	openat: { numbers: { x64: 257, arm64: 56 }, third: OPEN_TO_CHANGE },
};

export interface EndedRun {
	/** null where it was ended */
	code: number | null;
	stdout: string;
	stderr: string;
	/** what was counted, in order: `ip: sendmsg` */
	calls: string[];
}

interface Killer {
	plans: BpfMap;
	calls: BpfMap;
}
let killer: Killer | null = null;

/** `path` is that of the built fixtures/kill.bpf.c in the guest. It stays loaded as long as the guest's agent runs. */
export function loadKiller(path: string): void {
	const object = BpfObject.open(path).load();
	const counted = object.map('counted', 4, 24);
	for (const { numbers, first = ALL, third = [0n, 0n] } of Object.values(RULES)) {
		const number = numbers[process.arch as 'x64' | 'arm64'];
		const rule = Buffer.alloc(24);
		rule.writeBigUInt64LE(first, 0);
		for (const [index, value] of third.entries()) rule.writeBigUInt64LE(value, 8 + 8 * index);
		if (number !== null) counted.update(u32(number), rule);
	}
	attachRawTracepoint(object.programFd('end_at'), 'sys_enter');
	killer = { plans: object.map('plans', 4, 24), calls: object.map('calls', 4, 24) };
	mkdirSync(CGROUP, { recursive: true });
}

/** Runs a program, which is ended at its `endAt`-th call that counts: with 0 it comes to its own end, and is counted. */
export async function runEndedAt(
	argv: readonly string[],
	endAt: number,
	env: Record<string, string> = {},
): Promise<EndedRun> {
	if (!killer) throw new Error('loadKiller comes first');
	const plan = Buffer.alloc(24);
	plan.writeBigUInt64LE(BigInt(statSync(CGROUP).ino), 0);
	plan.writeUInt32LE(endAt, 8);
	killer.plans.update(u32(0), plan);
	const child = spawn('sh', ['-c', `echo $$ >${CGROUP}/cgroup.procs && exec "$@"`, 'sh', ...argv], {
		stdio: ['ignore', 'pipe', 'pipe'],
		env: { ...process.env, ...env },
	});
	const output = { stdout: '', stderr: '' };
	for (const stream of ['stdout', 'stderr'] as const)
		child[stream].setEncoding('utf8').on('data', (text: string) => {
			output[stream] += text;
		});
	const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
	while (readFileSync(`${CGROUP}/cgroup.procs`, 'utf8')) await sleep(5);
	const count = killer.plans.lookup(u32(0))!.readUInt32LE(12);
	killer.plans.update(u32(0), Buffer.alloc(24));
	return {
		code,
		...output,
		calls: Array.from({ length: count }, (_, index) => describe(killer!.calls.lookup(u32(index))!)),
	};
}

/** struct call { __u32 number, first; char program[16]; } */
function describe(call: Buffer): string {
	const number = call.readUInt32LE(0);
	const [name = `call ${number}`] =
		Object.entries(RULES).find(([, { numbers }]) => numbers[process.arch as 'x64' | 'arm64'] === number) ?? [];
	const program = call.toString('latin1', 8, 24).replace(/\0.*/s, '');
	return `${program}: ${name}${name === 'bpf' ? ` ${call.readUInt32LE(4)}` : ''}`;
}
