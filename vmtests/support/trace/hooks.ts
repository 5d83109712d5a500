/**
 * Where the tracer looks: which place of a packet's way each hook of bpf/trace.bpf.c is. A row per hook, never per kernel; its
 * index is its number in `enum hook` (bpf/include/trace.h).
 */
import type { HopKind } from './types.ts';

export interface Hook {
	/** tracepoint or function of the kernel, as it is spelt there */
	symbol: string;
	kind: HopKind;
	/** `raw_tp`: the tracepoint's arguments as they are. `function`: fentry, and kprobe where that cannot be attached. */
	way: 'raw_tp' | 'function' | 'fexit';
	/** called with softirqs on: two programs watch it, so that one is at rest whatever a softirq interrupts (trace.bpf.c) */
	twice?: true;
	why: string;
}

export const HOOKS: readonly Hook[] = [
	{
		symbol: 'net_dev_start_xmit',
		kind: 'xmit',
		way: 'raw_tp',
		why: 'just before ndo_start_xmit, after the qdisc, with the device that sends',
	},
	{
		symbol: 'netif_receive_skb',
		kind: 'receive',
		way: 'raw_tp',
		why: 'the top of __netif_receive_skb_core, of which every build keeps only a .constprop copy that fentry cannot name',
	},
	{
		symbol: 'kfree_skb',
		kind: 'drop',
		way: 'raw_tp',
		twice: true,
		why: 'says where, and from 5.17 (c504e5c2f964) why; consume_skb, its twin for packets that have arrived, is another',
	},
	{
		symbol: 'qdisc_enqueue',
		kind: 'qdisc',
		way: 'raw_tp',
		why: 'a qdisc holds it back; from 5.15 (70713dddf3d2). A qdisc that may be bypassed takes it only when it cannot be sent at once',
	},
	{
		symbol: 'qdisc_dequeue',
		kind: 'qdisc',
		way: 'raw_tp',
		why: 'and lets it go: all that 5.10 has to say of qdiscs',
	},
	{
		symbol: 'net_dev_queue',
		kind: 'note',
		way: 'raw_tp',
		why: '__dev_queue_xmit has it: by whatever way it came, and before tc egress',
	},
	{
		symbol: 'bpf_prog',
		kind: 'program',
		way: 'fexit',
		why: 'tcx_run, sch_handle_ingress and the netkit loop are inlined everywhere: the program itself is what can be seen',
	},
	{
		symbol: 'enqueue_to_backlog',
		kind: 'backlog',
		way: 'function',
		why: 'the only way into a per-CPU backlog, whoever calls: netif_rx, dev_forward_skb, RPS',
	},
	{
		symbol: 'skb_do_redirect',
		kind: 'redirect',
		way: 'function',
		why: 'what a program without BTF cannot tell; __bpf_redirect_neigh is inlined, this is not',
	},
	{
		symbol: 'ip6_rcv_core',
		kind: 'ip6 receive',
		way: 'function',
		why: 'where an IPv6 stack takes a packet, list or single; ipv6_rcv alone misses lists',
	},
	{ symbol: 'ip_rcv_core', kind: 'ip receive', way: 'function', why: 'its IPv4 twin' },
	{ symbol: 'ip6_forward', kind: 'ip6 forward', way: 'function', why: 'the route says: not here' },
	{ symbol: 'ip_forward', kind: 'ip forward', way: 'function', why: 'its IPv4 twin' },
	{ symbol: 'ip6_input', kind: 'note', way: 'function', why: 'the route says: here; a socket, or a drop, comes next' },
	{ symbol: 'ip_local_deliver', kind: 'note', way: 'function', why: 'its IPv4 twin' },
	{
		symbol: 'ip6_output',
		kind: 'note',
		way: 'function',
		twice: true,
		why: 'the stack sends it, its own or forwarded; redirect_neigh never comes here',
	},
	{ symbol: 'ip_output', kind: 'note', way: 'function', twice: true, why: 'its IPv4 twin' },
	{
		symbol: 'skb_scrub_packet',
		kind: 'note',
		way: 'function',
		why: 'where a change of netns takes mark, route and timestamp off a packet',
	},
	{
		symbol: 'nf_hook_slow',
		kind: 'netfilter',
		way: 'function',
		twice: true,
		why: 'called where somebody is registered at the hook, for a list packet by packet; an LSM alone, which sees all, is left out',
	},
	{
		symbol: '__neigh_event_send',
		kind: 'neighbour',
		way: 'function',
		twice: true,
		why: "the neighbour's address is not known yet: the packet waits for it in arp_queue, or ends there",
	},
	{
		symbol: '__udp_enqueue_schedule_skb',
		kind: 'udp deliver',
		way: 'function',
		why: 'a socket was found and takes it, both families; __udp6_lib_rcv is gone in 7.1 and says nothing of the socket',
	},
	{
		symbol: 'tcp_v6_do_rcv',
		kind: 'tcp deliver',
		way: 'function',
		twice: true,
		why: 'a socket was found; tcp_v6_rcv is called for no socket as well',
	},
	{ symbol: 'tcp_v4_do_rcv', kind: 'tcp deliver', way: 'function', twice: true, why: 'its IPv4 twin' },
	{
		symbol: 'tcp_child_process',
		kind: 'tcp deliver',
		way: 'function',
		why: 'the last ACK of a handshake goes to the new socket without tcp_v6_do_rcv',
	},
	{
		symbol: 'tcp_timewait_state_process',
		kind: 'tcp deliver',
		way: 'function',
		why: 'a TIME_WAIT socket has no receive function of its own',
	},
	{ symbol: 'icmpv6_rcv', kind: 'icmp deliver', way: 'function', why: "the kernel's own ICMPv6 is the receiver" },
	{ symbol: 'icmp_rcv', kind: 'icmp deliver', way: 'function', why: 'its IPv4 twin' },
	{
		symbol: 'tcp_add_backlog',
		kind: 'tcp deliver',
		way: 'function',
		why: 'a socket in use takes it for later, and may merge it into the one before: tcp_v6_do_rcv never sees that (5.0, 4f693b55c3d2)',
	},
];
