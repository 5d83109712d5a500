/*
 * Where a packet passes, seen from the kernel: an event for each place it comes to.
 *
 *   a qdisc holds it          qdisc_enqueue                                host:eth0 qdisc
 *   a device sends            net_dev_start_xmit                           web:eth0 xmit
 *     veth: into a backlog    enqueue_to_backlog                           host backlog
 *   a device receives         netif_receive_skb                            host:web receive
 *     a program runs          fexit of the program: trace_program.bpf.c    host:web ingress[…]
 *     and redirects           skb_do_redirect
 *   netfilter has rules       nf_hook_slow                                 host netfilter forward
 *   the IP stack              ip6_rcv_core, ip6_forward                    host ip6 receive, host ip6 forward
 *   it waits for a neighbour  __neigh_event_send                           host:eth0 neighbour
 *   a socket                  __udp_enqueue_schedule_skb, tcp_v6_do_rcv    peer udp deliver
 *   nowhere                   kfree_skb                                    drop NO_SOCKET
 *
 * Nothing is written until `settings` enables it: idle, a hook costs one array lookup.
 */
#include "include/trace.h"
#include <linux/ptrace.h>

/*
 * A program is not run while it is running on that CPU: of a function that is called with softirqs on, a
 * softirq may come in between, and its packet would be missed. So two programs watch such a function. A
 * softirq finds one of them at rest, whichever it interrupted; where both run, the second finds the mark of
 * the first, and leaves the packet to it. Each has a mark of its own, by hook, out of a softirq and in it:
 * one that runs alone never finds the other's.
 */
enum twin {
	FIRST_TWIN,
	SECOND_TWIN,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, __u64);
} marks SEC(".maps");

static __noinline bool is_left_to_me(__u32 hook, __u64 skb, enum twin me)
{
	__u32 mine = (hook * 2 + !!context_flags()) * 2 + me, others = mine ^ 1;
	__u64 *own = bpf_map_lookup_elem(&marks, &mine), *other = bpf_map_lookup_elem(&marks, &others);

	if (!own || !other || !tracing())
		return false;
	if (*other == skb) {
		*other = 0;
		return false;
	}
	*own = skb;
	return true;
}

static __noinline void trace(__u8 hook, struct sk_buff *skb, struct net_device *dev, struct net *net)
{
	struct settings *now = tracing();
	struct event e = {.hook = hook};

	if (now && describe_skb(&e, now, skb, dev, net))
		submit(&e, now);
}

SEC("raw_tp/net_dev_start_xmit")
int on_net_dev_start_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	trace(HOOK_net_dev_start_xmit, (struct sk_buff *)ctx->args[0], (struct net_device *)ctx->args[1],
	      NULL);
	return 0;
}

SEC("raw_tp/netif_receive_skb")
int on_netif_receive_skb(struct bpf_raw_tracepoint_args *ctx)
{
	trace(HOOK_netif_receive_skb, (struct sk_buff *)ctx->args[0], NULL, NULL);
	return 0;
}

static __noinline void trace_drop(struct sk_buff *skb, __u64 location, __u64 reason)
{
	struct settings *now = tracing();
	struct event e = {.hook = HOOK_kfree_skb};

	if (!now || !describe_skb(&e, now, skb, NULL, NULL))
		return;
	e.location = location;
	e.reason = reason;
	/* since 5.13 (7b15523a989b); before, the function is looked up by its address */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_snprintf))
		BPF_SNPRINTF(e.function, sizeof(e.function), "%ps", (void *)location);
	submit(&e, now);
}

static __always_inline void drop(struct bpf_raw_tracepoint_args *ctx, enum twin me)
{
	if (is_left_to_me(HOOK_kfree_skb, ctx->args[0], me))
		trace_drop((struct sk_buff *)ctx->args[0], ctx->args[1],
			   bpf_core_type_exists(enum skb_drop_reason) ? ctx->args[2] : 0);
}

SEC("raw_tp/kfree_skb")
int on_kfree_skb(struct bpf_raw_tracepoint_args *ctx)
{
	drop(ctx, FIRST_TWIN);
	return 0;
}

SEC("raw_tp/kfree_skb")
int twin_kfree_skb(struct bpf_raw_tracepoint_args *ctx)
{
	drop(ctx, SECOND_TWIN);
	return 0;
}

SEC("raw_tp/qdisc_enqueue")
int on_qdisc_enqueue(struct bpf_raw_tracepoint_args *ctx)
{
	trace(HOOK_qdisc_enqueue, (struct sk_buff *)ctx->args[2], NULL, NULL);
	return 0;
}

SEC("raw_tp/qdisc_dequeue")
int on_qdisc_dequeue(struct bpf_raw_tracepoint_args *ctx)
{
	/* asked of an empty queue too */
	if (ctx->args[3])
		trace(HOOK_qdisc_dequeue, (struct sk_buff *)ctx->args[3], NULL, NULL);
	return 0;
}

SEC("raw_tp/net_dev_queue")
int on_net_dev_queue(struct bpf_raw_tracepoint_args *ctx)
{
	trace(HOOK_net_dev_queue, (struct sk_buff *)ctx->args[0], NULL, NULL);
	return 0;
}

static __always_inline void set_softirq(__u32 serving)
{
	__u32 key = 0, *here;

	/* also while nothing is traced: a trace may begin, or end, in a softirq */
	here = bpf_map_lookup_elem(&softirq, &key);
	if (here)
		*here = serving;
}

SEC("raw_tp/softirq_entry")
int on_softirq_entry(void *ctx)
{
	set_softirq(1);
	return 0;
}

SEC("raw_tp/softirq_exit")
int on_softirq_exit(void *ctx)
{
	set_softirq(0);
	return 0;
}

/* NF_IP_PRI_SELINUX_FIRST and _LAST, which AppArmor takes as well: there in every netns, whoever has no rules
 */
#define PRIORITY_LSM 225
#define MAX_ENTRIES 16

static __always_inline bool has_rules(const struct nf_hook_entries *entries)
{
	__u16 count = BPF_CORE_READ(entries, num_hook_entries);
	const struct nf_hook_ops *ops;
	int priority;

	for (int i = 0; i < MAX_ENTRIES && i < count; i++) {
		if (bpf_probe_read_kernel(&ops, sizeof(ops),
					  (void *)&entries->hooks[count] + i * sizeof(ops)))
			return false;
		priority = BPF_CORE_READ(ops, priority);
		if (priority != PRIORITY_LSM && priority != -PRIORITY_LSM)
			return true;
	}
	return false;
}

/* Which hook of netfilter, for which family. Called only where somebody is registered. */
static __noinline void trace_netfilter(struct sk_buff *skb, struct nf_hook_state *state,
				       struct nf_hook_entries *entries)
{
	struct settings *now = tracing();
	struct event e = {.hook = HOOK_nf_hook_slow};

	/* on output, a packet has no device yet that would say where it is */
	if (!now || !has_rules(entries) || !describe_skb(&e, now, skb, NULL, BPF_CORE_READ(state, net)))
		return;
	e.result = BPF_CORE_READ(state, hook) | BPF_CORE_READ(state, pf) << 8;
	submit(&e, now);
}

#define NUD_STALE 0x04

/* A stale neighbour is asked whether it is still there while the packet goes on; any other keeps it waiting.
 */
static __noinline void trace_neighbour(struct sk_buff *skb, struct neighbour *neighbour)
{
	if (skb && BPF_CORE_READ(neighbour, nud_state) != NUD_STALE)
		trace(HOOK___neigh_event_send, skb, BPF_CORE_READ(neighbour, dev), NULL);
}

/*
 * A function of the kernel, by fentry where that can be attached and else by kprobe: one of the two is
 * loaded. `how` is what is made of its first three arguments.
 */
#define FENTRY(name, function, wanted, how)                                                                  \
	SEC("fentry/" #function)                                                                             \
	int name##_##function(__u64 *ctx)                                                                    \
	{                                                                                                    \
		if (wanted)                                                                                  \
			how(function, ctx[0], ctx[1], ctx[2]);                                               \
		return 0;                                                                                    \
	}
#define KPROBE(function, how)                                                                                \
	SEC("kprobe/" #function)                                                                             \
	int kprobe_##function(struct pt_regs *ctx)                                                           \
	{                                                                                                    \
		/* apart, since BPF_CORE_READ would look for the registers in the kernel's types */          \
		__u64 args[] = {PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx)};                 \
		how(function, args[0], args[1], args[2]);                                                    \
		return 0;                                                                                    \
	}
#define FUNCTION_TRACED(function, how)                                                                       \
	FENTRY(fentry, function, true, how)                                                                  \
	KPROBE(function, how)
#define FUNCTION_TRACED_TWICE(function, how, skb_at)                                                         \
	FENTRY(fentry, function, is_left_to_me(HOOK_##function, ctx[skb_at], FIRST_TWIN), how)               \
	FENTRY(twin, function, is_left_to_me(HOOK_##function, ctx[skb_at], SECOND_TWIN), how)                \
	KPROBE(function, how)

/* Its arguments are a skb; a socket and a skb; a netns, a socket and a skb; and those of two special cases.
 */
#define SKB(function, a, b, c) trace(HOOK_##function, (struct sk_buff *)(a), NULL, NULL)
#define SOCK_SKB(function, a, b, c)                                                                          \
	trace(HOOK_##function, (struct sk_buff *)(b), NULL,                                                  \
	      BPF_CORE_READ((struct sock *)(a), __sk_common.skc_net.net))
#define SOCK_SOCK_SKB(function, a, b, c) SOCK_SKB(function, a, c, b)
#define NET_SOCK_SKB(function, a, b, c) trace(HOOK_##function, (struct sk_buff *)(c), NULL, (struct net *)(a))
#define NETFILTER(function, a, b, c)                                                                         \
	trace_netfilter((struct sk_buff *)(a), (struct nf_hook_state *)(b), (struct nf_hook_entries *)(c))
#define NEIGHBOUR(function, a, b, c) trace_neighbour((struct sk_buff *)(b), (struct neighbour *)(a))

FUNCTION_TRACED(enqueue_to_backlog, SKB)
FUNCTION_TRACED(skb_do_redirect, SKB)
FUNCTION_TRACED(ip6_rcv_core, SKB)
FUNCTION_TRACED(ip_rcv_core, SKB)
FUNCTION_TRACED(ip6_forward, SKB)
FUNCTION_TRACED(ip_forward, SKB)
FUNCTION_TRACED(ip6_input, SKB)
FUNCTION_TRACED(ip_local_deliver, SKB)
FUNCTION_TRACED(skb_scrub_packet, SKB)
FUNCTION_TRACED(__udp_enqueue_schedule_skb, SOCK_SKB)
FUNCTION_TRACED(tcp_child_process, SOCK_SOCK_SKB)
FUNCTION_TRACED(tcp_timewait_state_process, SOCK_SKB)
FUNCTION_TRACED(icmpv6_rcv, SKB)
FUNCTION_TRACED(icmp_rcv, SKB)
FUNCTION_TRACED(tcp_add_backlog, SOCK_SKB)

/* Those that are called with softirqs on; `skb_at` is the skb's place among the arguments. */
FUNCTION_TRACED_TWICE(ip6_output, NET_SOCK_SKB, 2)
FUNCTION_TRACED_TWICE(ip_output, NET_SOCK_SKB, 2)
FUNCTION_TRACED_TWICE(nf_hook_slow, NETFILTER, 0)
FUNCTION_TRACED_TWICE(__neigh_event_send, NEIGHBOUR, 1)
FUNCTION_TRACED_TWICE(tcp_v6_do_rcv, SOCK_SKB, 1)
FUNCTION_TRACED_TWICE(tcp_v4_do_rcv, SOCK_SKB, 1)

char LICENSE[] SEC("license") = "GPL";
