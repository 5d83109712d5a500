/** All that a datapath may change on its host, as text: two that are equal are the same host, byte for byte. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** By what it is called in a failed test. What `ip` and `tc` count or time is not asked for. */
const COMMANDS = {
	links: 'ip -d -j link',
	addresses: 'ip -j addr',
	'IPv4 routes': 'ip -d -j -4 route show table all',
	'IPv6 routes': 'ip -d -j -6 route show table all',
	'IPv4 rules': 'ip -d -j -4 rule',
	'IPv6 rules': 'ip -d -j -6 rule',
	neighbours: 'ip -j neigh show nud permanent',
	proxies: 'ip -j neigh show proxy',
	netns: 'ip -j netns list',
	'netns files': 'ls /run/netns',
	qdiscs: 'tc -j qdisc',
	filters:
		'for device in $(ls /sys/class/net); do for side in ingress egress; do tc -j filter show dev $device $side 2>/dev/null; done; done',
	'BPF programs': 'bpftool -j prog show',
	'BPF maps': 'bpftool -j map show',
	'BPF links': 'bpftool -j link show',
	pins: 'find /sys/fs/bpf',
	cgroups: 'find /sys/fs/cgroup -type d',
	forwarding: 'grep . /proc/sys/net/ipv[46]/conf/*/forwarding',
	sysctls: 'sysctl -a --pattern ^net 2>/dev/null',
} as const;
export type HostState = Record<keyof typeof COMMANDS, string>;

/** What takes longest to look at, and is left out where a host is looked at often: it is as the rest is. */
const SLOW: (keyof HostState)[] = ['sysctls', 'filters', 'cgroups', 'proxies', 'BPF maps', 'BPF links'];

/** Printed as a hash table has them, which the kernel makes anew as it grows. */
const UNORDERED: (keyof HostState)[] = ['neighbours', 'proxies'];

/** Between what two commands say. */
const MARK = '\u0001';
/** Differ from one look to the next, whoever did nothing. */
const VOLATILE = [
	/"pids":\[[^\]]*\],?/g,
	/"(run_time_ns|run_cnt|recursion_misses|bytes_memlock)":\d+,?/g,
	/^net\.netfilter\.nf_conntrack_count.*\n/gm,
];
/** The kernel takes away what nobody holds in its own time: after an RCU grace period, from a work queue. */
const SETTLE_MS = 5_000;

/** `quick`: without what takes longest. */
export async function hostState({ quick = false } = {}): Promise<Partial<HostState>> {
	const names = (Object.keys(COMMANDS) as (keyof HostState)[]).filter((name) => !quick || !SLOW.includes(name));
	const script = names.map((name) => `${COMMANDS[name]}; printf '${MARK}'`).join('\n');
	const parts = (await run(script)).split(MARK);
	return Object.fromEntries(names.map((name, index) => [name, stable(name, parts[index] ?? '')]));
}

/** What differs from `before`, once it has had time to become the same; nothing where nothing does. */
export async function differences(
	before: Partial<HostState>,
): Promise<Record<string, { before: string; now: string }>> {
	for (const start = Date.now(); ; await sleep(200)) {
		const now = await hostState({ quick: before.sysctls === undefined });
		const names = (Object.keys(before) as (keyof HostState)[]).filter((name) => before[name] !== now[name]);
		if (!names.length || Date.now() - start > SETTLE_MS)
			return Object.fromEntries(
				names.map((name) => [
					name,
					{ before: without(before[name]!, now[name]!), now: without(now[name]!, before[name]!) },
				]),
			);
	}
}

/** The lines, or items of a JSON list, that only this one has. */
function without(text: string, other: string): string {
	const pieces = (all: string) => all.split(/\n|(?<=\}),(?=\{)/);
	const there = new Set(pieces(other));
	return pieces(text)
		.filter((piece) => !there.has(piece))
		.join('\n');
}

function stable(name: keyof HostState, text: string): string {
	const lasting = VOLATILE.reduce((left, pattern) => left.replace(pattern, ''), text);
	if (!UNORDERED.includes(name)) return lasting;
	const rows = JSON.parse(lasting || '[]') as object[];
	return rows
		.map((row) => JSON.stringify(row))
		.sort()
		.join('\n');
}

async function run(script: string): Promise<string> {
	const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
	const said: Buffer[] = [];
	for await (const bytes of child.stdout) said.push(bytes as Buffer);
	return Buffer.concat(said).toString();
}
