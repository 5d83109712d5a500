/*
 * What a BPF program decided: an event at the end of every tc, netkit, XDP and cgroup_skb program, ours or a
 * stranger's.
 *
 *   skb or xdp_buff ──▶ the program ──▶ its verdict
 *                                        └─▶ fexit here: which program, which packet, on which device, what
 * verdict
 *
 * A program that is attached to has to be named when this is loaded. So each load has a few slots, one for
 * each of the programs found since the last load; settings and events are shared with trace.bpf.c.
 */
#include "include/trace.h"

#define SLOTS 8

struct target {
	__u32 program;
	__u32 context;
};

/* What a program is given, by its type: as in vmtests/support/guest/programs.ts. */
enum context {
	/* an sk_buff, on its way in or out as tc says */
	CONTEXT_TC,
	/* an xdp_buff */
	CONTEXT_XDP,
	/* an sk_buff at a socket: on its way in once a device has received it */
	CONTEXT_CGROUP,
};

const volatile struct target targets[SLOTS] = {};

/* XDP has no parsed header: Ethernet if the ethertype says so, else a device without one. */
static __always_inline bool describe_xdp(struct event *e, struct settings *now, struct xdp_buff *xdp)
{
	unsigned char *data = BPF_CORE_READ(xdp, data), *end = BPF_CORE_READ(xdp, data_end), *ip = data;
	__be16 ethertype;

	if (bpf_probe_read_kernel(&ethertype, sizeof(ethertype), data + ETH_HLEN - 2))
		return false;
	if (ethertype == bpf_htons(ETH_P_IP) || ethertype == bpf_htons(ETH_P_IPV6))
		ip += ETH_HLEN;
	if (!capture(e, now, ip, end))
		return false;
	e->head = (__u64)BPF_CORE_READ(xdp, data_hard_start);
	e->length = end - data;
	e->network = ip - data;
	e->flags |= FLAG_INGRESS;
	set_device(e, BPF_CORE_READ(xdp, rxq, dev));
	return true;
}

static __noinline void trace_end(__u64 *ctx, __u32 program, __u32 context)
{
	struct settings *now = tracing();
	struct event e = {.hook = HOOK_program};
	struct sk_buff *skb = (struct sk_buff *)ctx[0];

	if (!now)
		return;
	e.program = program;
	e.result = ctx[1];
	if (context == CONTEXT_XDP) {
		if (!describe_xdp(&e, now, (struct xdp_buff *)skb))
			return;
	} else {
		if (!describe_skb(&e, now, skb, NULL, NULL))
			return;
		if (context == CONTEXT_CGROUP ? BPF_CORE_READ(skb, skb_iif)
					      : BPF_CORE_READ_BITFIELD_PROBED(skb, tc_at_ingress))
			e.flags |= FLAG_INGRESS;
	}
	submit(&e, now);
}

#define SLOT(n)                                                                                              \
	SEC("fexit")                                                                                         \
	int slot_##n(__u64 *ctx)                                                                             \
	{                                                                                                    \
		trace_end(ctx, targets[n].program, targets[n].context);                                      \
		return 0;                                                                                    \
	}

SLOT(0)
SLOT(1)
SLOT(2)
SLOT(3)
SLOT(4)
SLOT(5)
SLOT(6)
SLOT(7)

char LICENSE[] SEC("license") = "GPL";
