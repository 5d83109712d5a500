/** What `strace -f -e trace=%network` tells of a program's IP sockets: which addresses it named, and which it was shown. */

export const CALLS = [
	'bind',
	'connect',
	'sendto',
	'sendmsg',
	'accept',
	'getsockname',
	'getpeername',
	'recvmsg',
] as const;
export type Call = (typeof CALLS)[number];

/** Of each call that named an address or was told one: the addresses, sorted; with the errno where it failed, with `+pktinfo` where ancillary data said from where. */
export type SocketCalls = Partial<Record<Call, string[]>>;

/** As the kernel has them under one name here: the same hook sees both. */
const NAMES: Record<string, Call> = {
	...(Object.fromEntries(CALLS.map((name) => [name, name])) as Record<Call, Call>),
	accept4: 'accept',
	sendmmsg: 'sendmsg',
	recvfrom: 'recvmsg',
	recvmmsg: 'recvmsg',
};

/** Not yet an answer, and no refusal. */
const PENDING = new Set(['EINPROGRESS', 'EAGAIN', 'EINTR', 'ENOTCONN']);

/** Of sockets of one protocol. A file descriptor is taken to mean the same in all processes that are traced. */
export function socketCalls(trace: string, protocol: 'tcp' | 'udp'): SocketCalls {
	const protocols = new Map<string, 'tcp' | 'udp' | null>();
	const found = new Map<Call, Set<string>>();
	for (const { name, args, result, errno } of completeCalls(trace)) {
		if (name === 'socket') {
			protocols.set(result, protocolOf(args));
			continue;
		}
		const call = NAMES[name];
		const fd = /^\d+/.exec(args)?.[0];
		if (!call || fd === undefined || protocols.get(fd) !== protocol) continue;
		if (call === 'accept' && !errno) protocols.set(result, protocol);
		const address = /inet_pton\(AF_INET6, "([^"]+)"|inet_addr\("([^"]+)"\)/.exec(withoutControl(args));
		if (!address || (errno && PENDING.has(errno) && call !== 'connect')) continue;
		const words = [address[1] ?? address[2]!];
		if (call === 'sendmsg' && /cmsg_type=(0x32|IPV6_PKTINFO|IP_PKTINFO)/.test(args)) words.push('+pktinfo');
		if (errno && !PENDING.has(errno)) words.push(errno);
		found.set(call, (found.get(call) ?? new Set()).add(words.join(' ')));
	}
	return Object.fromEntries([...found].map(([call, addresses]) => [call, [...addresses].sort()]));
}

/** IP_PKTINFO has addresses of its own. */
function withoutControl(args: string): string {
	return args.replace(/msg_control=\[.*?\}\]/, '');
}

function protocolOf(args: string): 'tcp' | 'udp' | null {
	if (!/^AF_INET6?,/.test(args)) return null;
	if (args.includes('SOCK_STREAM')) return 'tcp';
	return args.includes('SOCK_DGRAM') ? 'udp' : null;
}

interface TracedCall {
	name: string;
	args: string;
	result: string;
	errno?: string;
}

/** One that another process interrupts is told in two lines. */
function completeCalls(trace: string): TracedCall[] {
	const begun = new Map<string, string>();
	return trace.split('\n').flatMap((line) => {
		const [, pid, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
		if (pid === undefined || rest === undefined) return [];
		const unfinished = /^(.*?)\s*<unfinished \.\.\.>$/.exec(rest);
		if (unfinished) {
			begun.set(pid, unfinished[1]!);
			return [];
		}
		const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
		const whole = resumed ? `${begun.get(pid) ?? ''}${resumed[1]}` : rest;
		const call = /^(\w+)\((.*)\)\s+= (-?\d+)(?: (E[A-Z]+))?/.exec(whole);
		return call ? [{ name: call[1]!, args: call[2]!, result: call[3]!, errno: call[4] }] : [];
	});
}
