/**
 * What hosts run without this datapath, to compare it with: each wires the same container, at the same addresses, on a host that has
 * only its uplink so far. Of rules there are no more than one container needs; each further one costs those hosts more.
 *
 *   bridge masquerade   a bridge and rules of nftables, as Docker sets its networks up: `nft list ruleset` of its own backend. Docker's
 *                       older backend has the same rules in more chains. What leaves has the host's address
 *   veth nftables       forwarded by the host's stack, and judged by rules with connection tracking, as kubenet or Calico without BPF do
 *   ipvlan-l2 plain     slaves of the uplink that nobody guards, as Docker's ipvlan networks: what is sent from which address is up to
 *   ipvlan-l3 plain     the container
 */
import type { Vm } from '../../../kernels/vm.ts';

/** The uplink's next hop, as in guest/lab.ts. */
const PEER = '2001:db8:0:1::2';
const WEB = { ipv6: '2001:db8:0:2::10', subnet: '2001:db8:0:2::/64', gateway: '2001:db8:0:2::1' } as const;
const NETNS = 'web';

/** Of the netns that all of them begin with. */
const START = ['ip netns add web', 'ip -n web link set dev lo up'];

/** One end in the container, and the host's. */
const VETH = [
	'ip link add name vethweb type veth peer name eth0 netns web',
	'ip link set dev vethweb addrgenmode none up',
	'ip -n web link set dev eth0 addrgenmode none up',
];
const FORWARDING = 'sysctl -qw net.ipv6.conf.all.forwarding=1';

const BRIDGE_RULES = `
table ip6 docker-bridges {
	chain filter-FORWARD {
		type filter hook forward priority filter; policy accept
		oifname vmap { "docker0" : jump forward-in }
		iifname vmap { "docker0" : jump forward-out }
	}
	chain forward-in {
		ct state established,related counter accept
		iifname "docker0" counter accept
		counter drop
	}
	chain forward-out {
		ct state established,related counter accept
		counter accept
	}
	chain nat-POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept
		oifname != "docker0" ip6 saddr ${WEB.subnet} counter masquerade
	}
}`;

const POLICY_RULES = `
table ip6 containers {
	chain forward {
		type filter hook forward priority filter; policy drop
		ct state invalid drop
		ct state established,related accept
		iifname vmap { "vethweb" : jump from-web }
		oifname vmap { "vethweb" : jump to-web }
	}
	chain from-web { ip6 saddr ${WEB.ipv6} accept; }
	chain to-web { tcp dport 1-65535 accept; }
}`;

export const OTHER_DEVICES = ['bridge'] as const;
export const OTHER_FORWARDS = ['masquerade', 'nftables', 'plain'] as const;

export interface Other {
	device: (typeof OTHER_DEVICES)[number] | 'veth' | 'ipvlan-l2' | 'ipvlan-l3';
	forward: (typeof OTHER_FORWARDS)[number];
	/** lines of a shell, as root in the host's netns */
	script: readonly string[];
}

const toGateway = (device: string) => [
	`ip -n web neigh add ${WEB.gateway} lladdr $(cat /sys/class/net/${device}/address) dev eth0 nud permanent`,
	`ip -n web route add default via ${WEB.gateway}`,
];
const toContainer = (device: string) =>
	`ip neigh add ${WEB.ipv6} lladdr $(ip -n web -j link show eth0 | sed 's/.*"address":"\\([^"]*\\)".*/\\1/') dev ${device} nud permanent`;

const ipvlan = (mode: 'l2' | 'l3'): Other => ({
	device: `ipvlan-${mode}`,
	forward: 'plain',
	script: [
		...START,
		`ip link add name slave link eth0 netns web type ipvlan mode ${mode}`,
		'ip -n web link set dev slave name eth0',
		`ip -n web addr add ${WEB.ipv6}/128 dev eth0 nodad`,
		'ip -n web link set dev eth0 up',
		`ip -n web neigh add ${PEER} lladdr $(ip neigh show ${PEER} dev eth0 | sed 's/.*lladdr \\([^ ]*\\).*/\\1/') dev eth0 nud permanent`,
		`ip -n web route add default via ${PEER} dev eth0 onlink`,
	],
});

export const OTHERS: readonly Other[] = [
	ipvlan('l2'),
	ipvlan('l3'),
	{
		device: 'veth',
		forward: 'nftables',
		script: [
			...START,
			...VETH,
			`ip -n web addr add ${WEB.ipv6}/128 dev eth0 nodad`,
			`ip addr add ${WEB.gateway}/128 dev vethweb nodad`,
			`ip route add ${WEB.ipv6}/128 dev vethweb`,
			toContainer('vethweb'),
			`ip -n web route add ${WEB.gateway}/128 dev eth0`,
			...toGateway('vethweb'),
			FORWARDING,
			`nft '${POLICY_RULES}'`,
		],
	},
	{
		device: 'bridge',
		forward: 'masquerade',
		script: [
			...START,
			'ip link add name docker0 type bridge',
			`ip addr add ${WEB.gateway}/64 dev docker0 nodad`,
			'ip link set dev docker0 addrgenmode none up',
			...VETH,
			'ip link set dev vethweb master docker0',
			`ip -n web addr add ${WEB.ipv6}/64 dev eth0 nodad`,
			toContainer('docker0'),
			...toGateway('docker0'),
			FORWARDING,
			// as dockerd does, so that rules see what passes the bridge alone
			'modprobe br_netfilter',
			'sysctl -qw net.bridge.bridge-nf-call-ip6tables=1',
			`nft '${BRIDGE_RULES}'`,
			// until the port forwards
			'sleep 3',
		],
	},
];

/** In a lab of device `none`. Answers the container. Throws a PathproofError (`call`). */
export async function wire(vm: Vm, { script }: Other): Promise<{ netns: string }> {
	await vm.exec(['sh', '-exc', script.join('\n')], { timeout: 60_000 });
	return { netns: NETNS };
}
