import { run, testDrops } from './causes.ts';

/** An address of web's that the host has no route to. */
const ANOTHER = { family: 4, sender: 'bind=203.0.113.7' } as const;
const ANOTHER_ADDED = run('web', 'ip addr add 203.0.113.7/32 dev eth0');

testDrops([
	{
		title: 'a packet to which no route leads on is dropped where it came in',
		packet: { from: 'peer' },
		cause: run('host', 'ip -6 route flush dev web'),
		at: 'host ip6 receive',
		reason: ['IP_INNOROUTES', 'ip6_pkt_drop'],
	},
	{
		title: 'a blackhole route swallows a packet',
		cause: run('host', 'ip route add blackhole 2001:db8:0:1::2'),
		at: 'host ip6 receive',
		reason: ['dst_discard_out'],
		full: true,
	},
	{
		title: 'an unreachable route drops a packet, and tells its sender',
		cause: run('host', 'ip route add unreachable 2001:db8:0:1::2'),
		at: 'host ip6 receive',
		reason: ['IP_INNOROUTES', 'ip6_pkt_drop'],
		full: true,
	},
	{
		title: 'a prohibiting IPv4 route drops a packet, and tells its sender',
		packet: { family: 4 },
		cause: run('host', 'ip route add prohibit 192.0.2.2'),
		at: 'host ip receive',
		reason: ['ip_error'],
		full: true,
	},
	{
		title: 'a host that does not forward drops what is not for itself',
		cause: run('host', 'sysctl -qw net.ipv6.conf.all.forwarding=0'),
		at: 'host ip6 forward',
		reason: ['IP_INADDRERRORS', 'ip6_forward'],
		full: true,
	},
	{
		title: 'a host that does not forward IPv4 finds no route on',
		packet: { family: 4 },
		cause: run('host', 'sysctl -qw net.ipv4.ip_forward=0'),
		at: 'host ip receive',
		reason: ['IP_INADDRERRORS', 'ip_error'],
		full: true,
	},
	{
		title: 'a packet larger than the MTU ahead is dropped where the link narrows',
		packet: { from: 'peer', size: 1400 },
		cause: run('host', 'ip link set web mtu 1300'),
		at: 'host ip6 forward',
		reason: ['PKT_TOO_BIG', 'ip6_forward'],
	},
	{
		title: 'an IPv4 packet that may not be fragmented is dropped where the link narrows',
		packet: { from: 'peer', family: 4, size: 1400 },
		cause: run('host', 'ip link set web mtu 1300'),
		at: 'host ip forward',
		reason: ['PKT_TOO_BIG', 'ip_forward'],
		full: true,
	},
	{
		title: 'a source that is not behind the device it came by fails the reverse path filter',
		packet: ANOTHER,
		given: ANOTHER_ADDED,
		cause: run('host', 'sysctl -qw net.ipv4.conf.all.rp_filter=1'),
		at: 'host ip receive',
		reason: ['IP_RPFILTER', 'ip_rcv_finish_core'],
	},
	{
		title: "a packet that claims to be from the host's own address is a martian",
		packet: ANOTHER,
		given: ANOTHER_ADDED,
		cause: run('host', 'ip addr add 203.0.113.7/32 dev lo'),
		at: 'host ip receive',
		reason: ['IP_LOCAL_SOURCE', 'ip_rcv_finish_core'],
		full: true,
	},
	{
		title: 'a device on which IPv6 is switched off takes none',
		cause: run('peer', 'sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1'),
		at: 'peer:eth0 receive',
		reason: ['IPV6DISABLED', 'ip6_rcv_core'],
		full: true,
	},
	{
		title: 'a packet whose next hop is asked for in vain is dropped',
		cause: run(
			'host',
			'sysctl -qw net.ipv6.neigh.eth0.mcast_solicit=0 net.ipv6.neigh.eth0.app_solicit=0 && ip neigh del 2001:db8:0:1::2 dev eth0',
		),
		at: 'host:eth0 neighbour',
		reason: ['NEIGH_FAILED', '__neigh_event_send'],
		full: true,
	},
	{
		title: 'a packet to an address that the host has taken is delivered there, where nobody listens',
		cause: run('host', 'ip addr add 2001:db8:0:1::2/128 dev lo nodad'),
		at: 'host ip6 receive',
		reason: ['NO_SOCKET', '__udp6_lib_rcv'],
		full: true,
	},
]);
