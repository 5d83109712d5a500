/** What tells a packet from the next one of its flow, in words. */
import type { Packet, PacketEvent } from './hops.ts';

const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'] as const;
/** as people say them: `SYN ACK`, `PSH ACK` */
const SAID_FIRST = ['SYN', 'FIN', 'RST', 'PSH'];
const SYN = 0x02;

/** RFC 4443, RFC 792 */
const ICMP_TYPES: Record<4 | 6, Record<number, string>> = {
	6: { 1: 'destination unreachable', 2: 'packet too big', 3: 'time exceeded', 128: 'echo request', 129: 'echo reply' },
	4: { 0: 'echo reply', 3: 'destination unreachable', 8: 'echo request', 11: 'time exceeded' },
};

/** `SYN`, `PSH ACK seq 1`, `echo request seq 1`, `datagram 2`. TCP's numbers count from the first that the trace saw. */
export function detailOf(packets: readonly Packet[], packet: Packet): string {
	const event = packet.events[0]!;
	if (event.tcp) return tcpDetail(packets, event, event.tcp);
	if (event.icmp) return icmpDetail(event.family, event.icmp);
	const flow = packets.filter((other) => isSameFlow(other.events[0]!, event));
	return `datagram ${flow.indexOf(packet) + 1}`;
}

function tcpDetail(packets: readonly Packet[], event: PacketEvent, tcp: NonNullable<PacketEvent['tcp']>): string {
	const flags = TCP_FLAGS.filter((_, bit) => tcp.flags & (1 << bit)).toSorted((a, b) => order(a) - order(b));
	if (tcp.flags & SYN) return flags.join(' ');
	const first = packets.map(({ events }) => events[0]!).find((other) => isSameFlow(other, event))!;
	// sequence numbers wrap at 2³²
	return `${flags.join(' ')} seq ${(tcp.sequence - first.tcp!.sequence) >>> 0}`;
}

function order(flag: string): number {
	return SAID_FIRST.includes(flag) ? SAID_FIRST.indexOf(flag) : SAID_FIRST.length;
}

function icmpDetail(family: 4 | 6, { type, code, sequence }: NonNullable<PacketEvent['icmp']>): string {
	const name = ICMP_TYPES[family][type] ?? `type ${type}`;
	return name.startsWith('echo') ? `${name} seq ${sequence}` : `${name} code ${code}`;
}

function isSameFlow(a: PacketEvent, b: PacketEvent): boolean {
	return (
		a.protocol === b.protocol &&
		a.source === b.source &&
		a.destination === b.destination &&
		a.sourcePort === b.sourcePort &&
		a.destinationPort === b.destinationPort
	);
}
