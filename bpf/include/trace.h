/* One event of the tracer: what was seen of one packet at one hook. Read by vmtests/support/guest/events.ts.
 */
#ifndef PATHPROOF_TRACE_H
#define PATHPROOF_TRACE_H

#include "kernel.h"
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define ETH_HLEN 14
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMPV6 58
/* neighbour and multicast listener discovery: the link's own talk, never a test's packet */
#define ICMPV6_DISCOVERY_FIRST 130
#define ICMPV6_DISCOVERY_LAST 143

/* Order and spelling are those of HOOKS in vmtests/support/guest/symbols.ts. */
enum hook {
	HOOK_net_dev_start_xmit,
	HOOK_netif_receive_skb,
	HOOK_kfree_skb,
	HOOK_program,
	HOOK_enqueue_to_backlog,
	HOOK_skb_do_redirect,
	HOOK_ip6_rcv_core,
	HOOK_ip_rcv_core,
	HOOK_ip6_forward,
	HOOK_ip_forward,
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
	/* of a program's end */
	__u32 program;
	__s32 result;
	__u32 reason;
	__u16 cpu;
	__u8 hook;
	__u8 flags;
	char device[16];
	__u8 source[16];
	__u8 destination[16];
	__u32 sequence;
	__u32 acknowledged;
	__u16 source_port;
	__u16 destination_port;
	__u16 icmp_id;
	__u16 icmp_sequence;
	__u8 family;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 padding[3];
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
	__uint(max_entries, 4 << 20);
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

static __always_inline bool read_at(void *to, __u32 size, const void *from)
{
	return !bpf_probe_read_kernel(to, size, from);
}

struct ipv6_header {
	__u8 version;
	__u8 rest[3];
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

struct ipv4_header {
	__u8 version;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__u8 source[4];
	__u8 destination[4];
};

struct tcp_header {
	__be16 source, destination;
	__be32 sequence, acknowledged;
	__u8 offset, flags;
};

struct icmp_header {
	__u8 type, code;
	__u16 checksum;
	__be16 id, sequence;
};

/* Fills the tuple from an IP header; false where there is none. */
static __always_inline bool parse_ip(struct event *e, const unsigned char *ip,
				     const unsigned char **transport)
{
	struct ipv6_header six;
	struct ipv4_header four;

	if (!read_at(&four, sizeof(four), ip))
		return false;
	if (four.version >> 4 == 6) {
		if (!read_at(&six, sizeof(six), ip))
			return false;
		e->family = 6;
		e->protocol = six.next_header;
		__builtin_memcpy(e->source, six.source, 16);
		__builtin_memcpy(e->destination, six.destination, 16);
		*transport = ip + sizeof(six);
		return true;
	}
	if (four.version >> 4 != 4 || (four.version & 15) < 5)
		return false;
	e->family = 4;
	e->protocol = four.protocol;
	__builtin_memcpy(e->source, four.source, 4);
	__builtin_memcpy(e->destination, four.destination, 4);
	*transport = ip + (four.version & 15) * 4;
	return true;
}

static __always_inline bool parse_transport(struct event *e, const unsigned char *transport)
{
	struct tcp_header tcp;
	struct icmp_header icmp;

	switch (e->protocol) {
	case PROTOCOL_TCP:
		if (!read_at(&tcp, sizeof(tcp), transport))
			return false;
		e->source_port = bpf_ntohs(tcp.source);
		e->destination_port = bpf_ntohs(tcp.destination);
		e->sequence = bpf_ntohl(tcp.sequence);
		e->acknowledged = bpf_ntohl(tcp.acknowledged);
		e->tcp_flags = tcp.flags;
		return true;
	case PROTOCOL_UDP:
		if (!read_at(&tcp, 4, transport))
			return false;
		e->source_port = bpf_ntohs(tcp.source);
		e->destination_port = bpf_ntohs(tcp.destination);
		return true;
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		if (!read_at(&icmp, sizeof(icmp), transport))
			return false;
		e->icmp_type = icmp.type;
		e->icmp_code = icmp.code;
		e->icmp_id = bpf_ntohs(icmp.id);
		e->icmp_sequence = bpf_ntohs(icmp.sequence);
		return e->protocol == PROTOCOL_ICMP || icmp.type < ICMPV6_DISCOVERY_FIRST ||
		       icmp.type > ICMPV6_DISCOVERY_LAST;
	}
	return true;
}

static __always_inline bool wanted(const struct event *e, const struct settings *filter)
{
	if (filter->family && filter->family != e->family)
		return false;
	if (filter->protocol && filter->protocol != e->protocol &&
	    !(filter->protocol == PROTOCOL_ICMP && e->protocol == PROTOCOL_ICMPV6))
		return false;
	return !filter->port || filter->port == e->source_port || filter->port == e->destination_port;
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
 * The IP header of an skb: at its network header once one is set; at its data where a device has just
 * received it and nobody has set one yet.
 */
static __always_inline bool parse_skb(struct event *e, struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head), *data = BPF_CORE_READ(skb, data);
	__u16 network = BPF_CORE_READ(skb, network_header);
	__be16 protocol = BPF_CORE_READ(skb, protocol);
	const unsigned char *transport;

	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return false;
	e->head = (__u64)head;
	if (e->hook == HOOK_netif_receive_skb || !network || network == 0xffff)
		return parse_ip(e, data, &transport) && parse_transport(e, transport);
	return parse_ip(e, head + network, &transport) && parse_transport(e, transport);
}

/* `dev` and `sk` where the hook knows better than the skb; else NULL. Returns false where the event is not
 * wanted. */
static __always_inline bool describe_skb(struct event *e, struct settings *now, struct sk_buff *skb,
					 struct net_device *dev, struct sock *sk)
{
	if (!parse_skb(e, skb) || !wanted(e, now))
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
	if (sk)
		e->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	return true;
}

#endif
