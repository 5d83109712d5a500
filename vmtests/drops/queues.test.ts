import { run, testDrops } from './causes.ts';

testDrops([
	{
		title: 'a queue that is full takes no further packet',
		needs: ['netem'],
		packet: { count: 3 },
		cause: run('host', 'tc qdisc replace dev eth0 root netem limit 1 delay 100ms'),
		at: 'host ip6 forward',
		reason: ['QDISC_DROP', 'kfree_skb_list'],
		full: true,
	},
	{
		title: 'a bad link, as netem makes it, loses a packet that it took',
		needs: ['netem'],
		cause: run('host', 'tc qdisc replace dev eth0 root netem loss 100%'),
		at: 'host:eth0 qdisc',
		atUnseenQueue: 'host ip6 forward',
		reason: ['QDISC_DROP', 'kfree_skb_list'],
		full: true,
	},
	{
		title: 'a device without carrier has a queue that takes nothing',
		cause: run('peer', 'ip link set eth0 down'),
		at: 'host ip6 forward',
		reason: ['QDISC_DROP', 'kfree_skb_list'],
		full: true,
	},
	{
		title: 'a CPU whose backlog is full drops what a device passes on',
		// IPPROTO_UDP, UDP_SEGMENT: the stack makes four datagrams of one and sends them before any of them is received
		packet: { size: 2000, sender: 'setsockopt=17:103:500' },
		given: run('web', 'ethtool -K eth0 tx-udp-segmentation off'),
		cause: run('host', 'sysctl -qw net.core.netdev_max_backlog=0'),
		at: 'host backlog',
		reason: ['CPU_BACKLOG', 'enqueue_to_backlog'],
	},
	{
		title: 'the oldest of the packets that wait for a next hop makes room for the newest',
		packet: { size: 1000, count: 3, judged: 'first' },
		cause: run(
			'host',
			'sysctl -qw net.ipv6.neigh.eth0.unres_qlen_bytes=2000 && ip -n peer link set eth0 address 02:00:5e:00:53:99 && ip neigh del 2001:db8:0:1::2 dev eth0',
		),
		at: 'host:eth0 neighbour',
		reason: ['NEIGH_QUEUEFULL', '__neigh_event_send'],
		full: true,
	},
]);
