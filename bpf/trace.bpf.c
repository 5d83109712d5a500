/*
 * Where a packet passes, seen from the kernel: an event for each place it comes to.
 *
 *   a device sends            net_dev_start_xmit                           web:eth0 xmit
 *     veth: into a backlog    enqueue_to_backlog                           host backlog
 *   a device receives         netif_receive_skb                            host:web receive
 *     a program runs          fexit of the program: trace_program.bpf.c    host:web ingress[…]
 *     and redirects           skb_do_redirect
 *   the IP stack              ip6_rcv_core, ip6_forward                    host ip6 receive, host ip6 forward
 *   a socket                  __udp_enqueue_schedule_skb, tcp_v6_do_rcv    peer udp deliver
 *   nowhere                   kfree_skb                                    drop NO_SOCKET
 *
 * Nothing is written until `settings` enables it: idle, a hook costs one array lookup.
 */
#include "include/trace.h"
#include <linux/ptrace.h>
#include <bpf/bpf_tracing.h>

static __noinline void trace(__u8 hook, struct sk_buff *skb, struct net_device *dev, struct sock *sk)
{
	struct settings *now = tracing();
	struct event e = {.hook = hook};

	if (now && describe_skb(&e, now, skb, dev, sk))
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

SEC("raw_tp/kfree_skb")
int on_kfree_skb(struct bpf_raw_tracepoint_args *ctx)
{
	struct settings *now = tracing();
	struct event e = {.hook = HOOK_kfree_skb};

	if (!now || !describe_skb(&e, now, (struct sk_buff *)ctx->args[0], NULL, NULL))
		return 0;
	e.location = ctx->args[1];
	if (bpf_core_type_exists(enum skb_drop_reason))
		e.reason = ctx->args[2];
	submit(&e, now);
	return 0;
}

static __always_inline void set_softirq(__u32 serving)
{
	__u32 key = 0, *here;

	if (!tracing())
		return;
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

/*
 * A function of the kernel, by fentry where that can be attached and else by kprobe: one of the two is
 * loaded. The skb is argument `skb_at`, the socket argument 0 where there is one.
 */
#define FUNCTION(function, skb_at, has_sk)                                                                   \
	SEC("fentry/" #function)                                                                             \
	int fentry_##function(__u64 *ctx)                                                                    \
	{                                                                                                    \
		trace(HOOK_##function, (struct sk_buff *)ctx[skb_at], NULL,                                  \
		      has_sk ? (struct sock *)ctx[0] : NULL);                                                \
		return 0;                                                                                    \
	}                                                                                                    \
	SEC("kprobe/" #function)                                                                             \
	int kprobe_##function(struct pt_regs *ctx)                                                           \
	{                                                                                                    \
		__u64 arguments[] = {PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx)};            \
		trace(HOOK_##function, (struct sk_buff *)arguments[skb_at], NULL,                            \
		      has_sk ? (struct sock *)arguments[0] : NULL);                                          \
		return 0;                                                                                    \
	}

FUNCTION(enqueue_to_backlog, 0, false)
FUNCTION(skb_do_redirect, 0, false)
FUNCTION(ip6_rcv_core, 0, false)
FUNCTION(ip_rcv_core, 0, false)
FUNCTION(ip6_forward, 0, false)
FUNCTION(ip_forward, 0, false)
FUNCTION(__udp_enqueue_schedule_skb, 1, true)
FUNCTION(tcp_v6_do_rcv, 1, true)
FUNCTION(tcp_v4_do_rcv, 1, true)
FUNCTION(tcp_child_process, 2, true)
FUNCTION(tcp_timewait_state_process, 1, true)
FUNCTION(icmpv6_rcv, 0, false)
FUNCTION(icmp_rcv, 0, false)
FUNCTION(tcp_add_backlog, 1, true)

char LICENSE[] SEC("license") = "GPL";
