import { ingress, pinned, run, testDrops } from './causes.ts';

const BY_RULE = { needs: ['nftables'], reason: ['NETFILTER_DROP', 'nf_hook_slow'] } as const;
const FROM_WIRE = { from: 'peer' } as const;

/** Drops UDP to port 9. `family hook`, as nft has them. */
function refuse(family: 'inet' | 'netdev', hook: string): string {
	return `nft 'table ${family} refuse { chain nine { type filter hook ${hook} priority 0; udp dport 9 drop; }; }'`;
}

/** At the egress of the uplink, by a filter: pinned programs have no other way there on every kernel. */
function egress(program: string) {
	return pinned(
		`tc qdisc replace dev eth0 clsact && tc filter add dev eth0 egress bpf direct-action object-pinned $PINNED/${program}`,
	);
}

testDrops([
	{
		title: "a rule of the host's firewall drops what it should forward",
		...BY_RULE,
		cause: run('host', refuse('inet', 'forward')),
		at: 'host netfilter forward',
	},
	{
		title: "a rule of the receiver's firewall drops what comes in",
		...BY_RULE,
		cause: run('peer', refuse('inet', 'input')),
		at: 'peer netfilter input',
		full: true,
	},
	{
		title: "a rule of the container's firewall drops what goes out",
		...BY_RULE,
		cause: run('web', refuse('inet', 'output')),
		at: 'web netfilter output',
		full: true,
	},
	{
		title: "a rule of the host's firewall drops a packet before it is routed",
		...BY_RULE,
		cause: run('host', refuse('inet', 'prerouting')),
		at: 'host netfilter prerouting',
		full: true,
	},
	{
		title: "a rule of the host's firewall drops a packet after it was routed",
		...BY_RULE,
		cause: run('host', refuse('inet', 'postrouting')),
		at: 'host netfilter postrouting',
		full: true,
	},
	{
		title: "a rule at a device's ingress drops a packet before an IP stack has it",
		...BY_RULE,
		cause: run('host', refuse('netdev', 'ingress device web')),
		at: 'host netfilter ingress',
		full: true,
	},
	{
		title: "a program at a device's ingress drops a packet",
		packet: FROM_WIRE,
		cause: ingress('eth0', 'discard'),
		at: 'host:eth0 ingress[discard → drop]',
		reason: ['TC_INGRESS', '__netif_receive_skb_core'],
	},
	{
		title: "a program at a device's egress drops a packet",
		needs: ['clsact'],
		cause: egress('discard'),
		at: 'host:eth0 egress[discard → drop]',
		reason: ['TC_EGRESS', '__dev_queue_xmit'],
		full: true,
	},
	{
		title: 'a program that sends a packet back to where it came from is stopped after ten rounds',
		needs: ['clsact'],
		cause: egress('in_circles'),
		at: 'host:eth0 egress[in_circles → redirect]',
		reason: ['__bpf_redirect'],
		full: true,
	},
	{
		title: 'a device that is entered from within itself too often sends no more',
		needs: ['clsact'],
		cause: egress('nine_rounds'),
		at: 'host:eth0 egress[nine_rounds → pass]',
		reason: ['RECURSION_LIMIT', '__dev_queue_xmit', 'kfree_skb_list_reason', 'kfree_skb_list'],
		full: true,
	},
	{
		title: 'a generic XDP program drops a packet after an skb was made of it',
		packet: FROM_WIRE,
		cause: pinned('bpftool net attach xdpgeneric pinned $PINNED/xdp_discard dev eth0'),
		at: 'host:eth0 ingress[xdp_discard → drop]',
		reason: ['do_xdp_generic', 'netif_receive_generic_xdp'],
		full: true,
	},
	{
		title: "an XDP program in the driver drops a packet before the device's receive",
		needs: ['veth'],
		packet: FROM_WIRE,
		cause: pinned('bpftool net attach xdpdrv pinned $PINNED/xdp_discard dev eth0'),
		at: 'host:eth0 ingress[xdp_discard → drop]',
		reason: ['veth_xdp_rcv_skb', 'veth_poll'],
		full: true,
	},
	{
		title: 'an XDP program that gives up loses its packet',
		needs: ['veth'],
		packet: FROM_WIRE,
		cause: pinned('bpftool net attach xdpdrv pinned $PINNED/xdp_abort dev eth0'),
		at: 'host:eth0 ingress[xdp_abort → aborted]',
		reason: ['veth_xdp_rcv_skb', 'veth_poll'],
		full: true,
	},
	{
		title: 'a netkit device whose policy is blackhole passes nothing on',
		device: 'netkit-l3',
		needs: ['netkit'],
		packet: FROM_WIRE,
		cause: run('host', 'ip link set dev web type netkit blackhole'),
		at: 'host:web xmit',
		reason: ['netkit_xmit'],
		full: true,
	},
]);
