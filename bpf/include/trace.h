/* One event of the tracer: what was seen of one packet at one hook. Read by vmtests/support/trace/events.ts.
 */
#ifndef PATHPROOF_TRACE_H
#define PATHPROOF_TRACE_H

#include "kernel.h"
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_HLEN 14
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_FRAGMENT 44
#define PROTOCOL_ICMPV6 58
/* neighbour and multicast listener discovery: the link's own talk, never a test's packet */
#define ICMPV6_DISCOVERY_FIRST 130
#define ICMPV6_DISCOVERY_LAST 143
#define IPV4_HEADER 20
#define IPV6_HEADER 40

/* Order and spelling are those of HOOKS in vmtests/support/trace/hooks.ts. */
enum hook {
	HOOK_net_dev_start_xmit,
	HOOK_netif_receive_skb,
	HOOK_kfree_skb,
	HOOK_qdisc_enqueue,
	HOOK_qdisc_dequeue,
	HOOK_net_dev_queue,
	HOOK_program,
	HOOK_enqueue_to_backlog,
	HOOK_skb_do_redirect,
	HOOK_ip6_rcv_core,
	HOOK_ip_rcv_core,
	HOOK_ip6_forward,
	HOOK_ip_forward,
	HOOK_ip6_input,
	HOOK_ip_local_deliver,
	HOOK_ip6_output,
	HOOK_ip_output,
	HOOK_skb_scrub_packet,
	HOOK_nf_hook_slow,
	HOOK___neigh_event_send,
	HOOK___udp_enqueue_schedule_skb,
	HOOK_tcp_v6_do_rcv,
	HOOK_tcp_v4_do_rcv,
	HOOK_tcp_child_process,
	HOOK_tcp_timewait_state_process,
	HOOK_icmpv6_rcv,
	HOOK_icmp_rcv,
	HOOK_tcp_add_backlog,
};

#define FLAG_SOCKET 1
#define FLAG_SOFTIRQ 2
#define FLAG_INGRESS 4

/* From the IP header on: both headers with options, and of a datagram the start of its payload. */
#define CAPTURED 144

struct event {
	__u64 time;
	__u64 skb;
	/* shared by clones: what ties the skb a socket keeps to the one that travels */
	__u64 head;
	/* of kfree_skb: the caller's address */
	__u64 location;
	__u32 netns;
	__u32 ifindex;
	__u32 length;
	__u32 mark;
	/* where the IP header is, from the first of `length` bytes on */
	__s32 network;
	/* of a program's end; nf_hook_slow has its hook in `result` */
	__u32 program;
	__s32 result;
	__u32 reason;
	__u16 cpu;
	__u16 captured;
	__u8 hook;
	__u8 flags;
	__u8 padding[2];
	char device[16];
	/* of kfree_skb: the caller's name, where the kernel can print it */
	char function[48];
	__u8 bytes[CAPTURED];
};

/* What a trace follows; 0 stands for anything. */
struct settings {
	__u64 lost;
	__u16 port;
	__u8 enabled;
	__u8 family;
	__u8 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	/* whoever loads this decides */
	__uint(max_entries, 4096);
} events SEC(".maps");

/*
 * Whether this CPU serves a softirq, as the softirq tracepoints of trace.bpf.c say. The preempt count would
 * say so too, but it moved twice (6.2, 6.15), and a kernel without KALLSYMS_ALL lets no program find it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} softirq SEC(".maps");

static __always_inline __u8 context_flags(void)
{
	__u32 key = 0, *serving = bpf_map_lookup_elem(&softirq, &key);

	return serving && *serving ? FLAG_SOFTIRQ : 0;
}

static __always_inline struct settings *tracing(void)
{
	__u32 key = 0;
	struct settings *settings_now = bpf_map_lookup_elem(&settings, &key);

	return settings_now && settings_now->enabled ? settings_now : NULL;
}

/* Ports, or type and code of ICMP: the first four bytes of every transport header. */
static __always_inline bool wanted_transport(const struct settings *filter, __u8 protocol,
					     const __u8 *transport)
{
	__u16 source = transport[0] << 8 | transport[1], destination = transport[2] << 8 | transport[3];

	if (protocol == PROTOCOL_ICMPV6 && transport[0] >= ICMPV6_DISCOVERY_FIRST &&
	    transport[0] <= ICMPV6_DISCOVERY_LAST)
		return false;
	return !filter->port || filter->port == source || filter->port == destination;
}

static __always_inline bool wanted_protocol(const struct settings *filter, __u8 protocol)
{
	return !filter->protocol || filter->protocol == protocol ||
	       (filter->protocol == PROTOCOL_ICMP && protocol == PROTOCOL_ICMPV6);
}

static __always_inline bool wanted_ipv6(const struct settings *filter, const __u8 *ip)
{
	__u8 protocol = ip[6];

	if (protocol != PROTOCOL_FRAGMENT)
		return wanted_protocol(filter, protocol) &&
		       wanted_transport(filter, protocol, ip + IPV6_HEADER);
	/* only the first fragment has ports; the others belong to it */
	return wanted_protocol(filter, ip[IPV6_HEADER]);
}

static __always_inline bool wanted_ipv4(const struct settings *filter, const __u8 *ip)
{
	__u8 protocol = ip[9], fragment = ip[6] & 0x3f;

	if (!wanted_protocol(filter, protocol))
		return false;
	/* with options or of a fragment, the ports are elsewhere or nowhere */
	if ((ip[0] & 15) != IPV4_HEADER / 4 || fragment || ip[7])
		return true;
	return wanted_transport(filter, protocol, ip + IPV4_HEADER);
}

/*
 * Takes the packet's bytes from its IP header to `end` into the event, as many as it holds. Answers whether
 * they are a packet that the trace follows.
 */
static __always_inline bool capture(struct event *e, const struct settings *now, const unsigned char *ip,
				    const unsigned char *end)
{
	__u64 there = end - ip;

	if (there > CAPTURED)
		there = CAPTURED;
	if (there < IPV4_HEADER || bpf_probe_read_kernel(e->bytes, there, ip))
		return false;
	e->captured = there;
	if (e->bytes[0] >> 4 == 6)
		return now->family != 4 && there >= IPV6_HEADER && wanted_ipv6(now, e->bytes);
	return e->bytes[0] >> 4 == 4 && now->family != 6 && wanted_ipv4(now, e->bytes);
}

static __always_inline void set_device(struct event *e, struct net_device *dev)
{
	e->ifindex = BPF_CORE_READ(dev, ifindex);
	e->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	BPF_CORE_READ_STR_INTO(&e->device, dev, name);
}

/* Writes the event, or counts that it could not be written. */
static __always_inline void submit(struct event *e, struct settings *now)
{
	e->time = bpf_ktime_get_ns();
	e->cpu = bpf_get_smp_processor_id();
	e->flags |= context_flags();
	if (bpf_ringbuf_output(&events, e, sizeof(*e), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&now->lost, 1);
}

/*
 * The IP header of an skb is at its network header once one is set; at its data where a device has just
 * received it and nobody has set one yet.
 */
static __always_inline bool capture_skb(struct event *e, struct settings *now, struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head), *data = BPF_CORE_READ(skb, data), *ip;
	__u16 network = BPF_CORE_READ(skb, network_header);
	__be16 protocol = BPF_CORE_READ(skb, protocol);

	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return false;
	e->head = (__u64)head;
	ip = e->hook == HOOK_netif_receive_skb || !network || network == 0xffff ? data : head + network;
	e->network = ip - data;
	return capture(e, now, ip, head + BPF_CORE_READ(skb, tail));
}

/* `dev` and `net` where the hook knows better than the skb; else NULL. Returns false where the event is not
 * wanted. */
static __always_inline bool describe_skb(struct event *e, struct settings *now, struct sk_buff *skb,
					 struct net_device *dev, struct net *net)
{
	if (!capture_skb(e, now, skb))
		return false;
	e->skb = (__u64)skb;
	e->length = BPF_CORE_READ(skb, len);
	e->mark = BPF_CORE_READ(skb, mark);
	if (BPF_CORE_READ(skb, sk))
		e->flags |= FLAG_SOCKET;
	if (!dev)
		dev = BPF_CORE_READ(skb, dev);
	if (dev)
		set_device(e, dev);
	if (net)
		e->netns = BPF_CORE_READ(net, ns.inum);
	return true;
}

#endif
