/** What tells a packet from the next one of its flow, in words. */
import { flowOf, type Packet } from './packets.ts';
import type { PacketEvent } from './types.ts';

const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;
/** as people say them: `SYN ACK`, `PSH ACK` */
const SAID_FIRST = ['SYN', 'FIN', 'RST', 'PSH'];
const SYN = 0x02;

/** RFC 4443, RFC 792 */
const ICMP_TYPES: Record<4 | 6, Record<number, string>> = {
	6: { 1: 'destination unreachable', 2: 'packet too big', 3: 'time exceeded', 128: 'echo request', 129: 'echo reply' },
	4: { 0: 'echo reply', 3: 'destination unreachable', 8: 'echo request', 11: 'time exceeded' },
};

/** `SYN`, `PSH ACK seq 1`, `echo request seq 1`, `datagram 2`: one for each packet. TCP's numbers count from the first that the trace saw. */
export function detailsOf(packets: readonly Packet[]): string[] {
	const flows = new Map<string, { first: PacketEvent; count: number }>();
	return packets.map(({ events: [event] }) => {
		const key = flowOf(event!);
		const flow = flows.get(key) ?? { first: event!, count: 0 };
		flows.set(key, { first: flow.first, count: flow.count + 1 });
		if (event!.tcp) return tcpDetail(event!.tcp, flow.first.tcp!.sequence);
		if (event!.icmp) return icmpDetail(event!.family, event!.icmp);
		return event!.fragment === null ? `datagram ${flow.count + 1}` : `fragment at ${event!.fragment}`;
	});
}

function tcpDetail(tcp: NonNullable<PacketEvent['tcp']>, firstSequence: number): string {
	const flags = TCP_FLAGS.filter((_, bit) => tcp.flags & (1 << bit)).toSorted((a, b) => order(a) - order(b));
	if (tcp.flags & SYN) return flags.join(' ');
	// sequence numbers wrap at 2³²
	return `${flags.join(' ')} seq ${(tcp.sequence - firstSequence) >>> 0}`;
}

function order(flag: string): number {
	return SAID_FIRST.includes(flag) ? SAID_FIRST.indexOf(flag) : SAID_FIRST.length;
}

function icmpDetail(family: 4 | 6, { type, code, sequence }: NonNullable<PacketEvent['icmp']>): string {
	const name = ICMP_TYPES[family][type] ?? `type ${type}`;
	return name.startsWith('echo') ? `${name} seq ${sequence}` : `${name} code ${code}`;
}
