import { ingress, run, testDrops } from './causes.ts';

testDrops([
	{
		title: 'a datagram with a wrong checksum is dropped before a socket is looked for',
		given: run('web', 'ethtool -K eth0 tx off'),
		cause: ingress('web', 'damage_sum'),
		at: 'peer:eth0 receive',
		reason: ['UDP_CSUM', '__udp6_lib_rcv'],
	},
	{
		title: 'a segment with a wrong checksum is dropped before a socket is looked for',
		packet: { protocol: 'tcp' },
		given: run('web', 'ethtool -K eth0 tx off'),
		cause: ingress('web', 'damage_sum'),
		at: 'peer:eth0 receive',
		reason: ['TCP_CSUM', 'tcp_v6_rcv'],
		full: true,
	},
	{
		title: 'an IPv4 header with a wrong checksum gets no further than the next IP stack',
		packet: { family: 4 },
		cause: ingress('web', 'damage_ipv4'),
		at: 'host ip receive',
		reason: ['IP_CSUM', 'ip_rcv_core'],
		full: true,
	},
	{
		title: 'a packet that is shorter than its header says gets no further than the next IP stack',
		cause: ingress('web', 'cut_short'),
		at: 'host ip6 receive',
		reason: ['PKT_TOO_SMALL', 'ip6_rcv_core'],
		full: true,
	},
	{
		title: 'a packet with the MAC address of another host is not taken',
		cause: run('host', 'ip neigh replace 2001:db8:0:1::2 lladdr 02:00:5e:00:53:99 dev eth0 nud permanent'),
		at: 'peer:eth0 receive',
		reason: ['OTHERHOST', 'ip6_rcv_core'],
		full: true,
	},
	{
		title: 'a packet that a program redirects to lo without a new MAC address is not taken there',
		// one of netkit-l3 has no MAC address, and neither has lo
		needs: ['veth'],
		cause: ingress('web', 'to_lo'),
		at: 'host ip6 receive',
		reason: ['OTHERHOST', 'ip6_rcv_core'],
		full: true,
	},
	{
		title: 'a packet with a hop-by-hop option that nobody may pass who does not know it ends at the first router',
		// IPPROTO_IPV6, IPV6_HOPOPTS: PadN, and an unknown option of the kind that is discarded silently (RFC 8200, 4.2)
		packet: { sender: 'setsockopt=41:54:x0000010400000000', extended: true },
		instead: { sender: 'setsockopt=41:54:x0000440400000000' },
		at: 'host ip6 receive',
		reason: ['UNHANDLED_PROTO', 'ip6_parse_tlv'],
		full: true,
	},
	{
		title: 'a packet whose hop limit ends at the router is dropped there',
		cause: run('web', 'sysctl -qw net.ipv6.conf.eth0.hop_limit=1'),
		at: 'host ip6 forward',
		reason: ['IP_INHDR', 'ip6_forward'],
	},
	{
		title: 'a packet whose TTL ends at the router is dropped there',
		packet: { family: 4 },
		cause: run('web', 'sysctl -qw net.ipv4.ip_default_ttl=1'),
		at: 'host ip forward',
		reason: ['IP_INHDR', 'ip_forward'],
		full: true,
	},
]);
