import { expect, type Trace, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { all, ingress, Listener, listenWith, pinned, send, testDrops } from './causes.ts';

testDrops([
	{
		title: 'a datagram for which no socket listens is dropped by its receiver',
		cause: (_, listener) => listener.end(),
		at: 'peer:eth0 receive',
		reason: ['NO_SOCKET', '__udp6_lib_rcv'],
	},
	{
		title: 'a datagram over IPv4 for which no socket listens is dropped as well',
		packet: { family: 4 },
		cause: (_, listener) => listener.end(),
		at: 'peer:eth0 receive',
		reason: ['NO_SOCKET', '__udp4_lib_rcv'],
		full: true,
	},
	{
		title: 'a connection to a port on which nobody listens ends with its SYN',
		packet: { protocol: 'tcp' },
		cause: (_, listener) => listener.end(),
		at: 'peer:eth0 receive',
		reason: ['NO_SOCKET', 'tcp_v6_rcv'],
	},
	{
		title: 'a socket whose buffer is full takes no further datagram',
		packet: { size: 1000, count: 6 },
		cause: all(listenWith('rcvbuf=1'), (_, listener) => listener.stop()),
		at: 'peer udp deliver',
		reason: ['SOCKET_RCVBUFF', 'udpv6_queue_rcv_one_skb'],
	},
	{
		title: "a program of the receiver's cgroup refuses a datagram once its socket is found",
		cause: pinned('bpftool cgroup attach /sys/fs/cgroup cgroup_inet_ingress pinned $PINNED/refuse_in'),
		at: 'peer cgroup ingress[refuse_in → drop]',
		reason: ['SOCKET_FILTER', 'udpv6_queue_rcv_one_skb'],
		full: true,
	},
	{
		title: "a program of the sender's cgroup refuses a datagram before any device has it",
		cause: pinned('bpftool cgroup attach /sys/fs/cgroup cgroup_inet_egress pinned $PINNED/refuse_out'),
		at: 'web cgroup egress[refuse_out → drop]',
		reason: ['BPF_CGROUP_EGRESS', 'ip6_finish_output'],
		full: true,
	},
	{
		title: 'a listener that demands a hop limit of 255 takes no SYN that was forwarded',
		packet: { protocol: 'tcp' },
		// IPPROTO_IPV6, IPV6_MINHOPCOUNT
		cause: listenWith('setsockopt-listen=41:73:255'),
		at: 'peer:eth0 receive',
		reason: ['TCP_MINTTL', 'tcp_v6_rcv'],
		full: true,
	},
	{
		title: 'a listener that demands signatures takes no SYN without one',
		packet: { protocol: 'tcp' },
		// IPPROTO_TCP, TCP_MD5SIG
		cause: listenWith(`setsockopt-listen=6:14:x${signatureKey('20010db8000000020000000000000010')}`),
		at: 'peer:eth0 receive',
		reason: ['TCP_MD5NOTFOUND', 'tcp_v6_rcv'],
		full: true,
	},
	{
		title: 'a datagram over IPv6 without a checksum is dropped: only one over IPv4 may go without',
		// IPPROTO_UDP, UDP_NO_CHECK6_TX
		instead: { sender: 'setsockopt=17:101:1' },
		at: 'peer:eth0 receive',
		reason: ['UDP_CSUM', '__udp6_lib_rcv'],
		full: true,
	},
]);

test('a segment beyond the window is dropped by the socket that has taken it', { tags: [FULL] }, async ({ lab }) => {
	const here = await lab();
	const connection = { protocol: 'tcp' } as const;
	await using listener = new Listener(here, connection);
	await listener.start();
	const dropped = (trace: Trace) => trace.out.filter(({ fate }) => fate === 'dropped');
	expect(dropped(await send(here, connection))).toEqual([]);
	await ingress('web', 'beyond_window')(here, listener);
	const trace = await send(here, connection);
	// before there were reasons, TCP freed what it refused by __kfree_skb, which no tracepoint sees
	if (!trace.reasons!.length) expect(dropped(trace)).toEqual([]);
	else expect(dropped(trace)).toBeDroppedAt('peer tcp deliver', 'TCP_INVALID_SEQUENCE');
});

/** For packets from `address`: struct tcp_md5sig { struct sockaddr_storage addr; __u8 flags, prefixlen; __u16 keylen; int ifindex; __u8 key[80]; } in hex */
function signatureKey(address: string): string {
	const sockaddr = `0a00${'0000'}${'00000000'}${address}`.padEnd(256, '0');
	return `${sockaddr}${'00000100'}${'00000000'}${'61'.padEnd(160, '0')}`;
}
