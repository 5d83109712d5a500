/*
 * What a BPF program decided: an event at the end of every tc, netkit and XDP program, ours or a stranger's.
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
	/* its context is an xdp_buff and not an sk_buff */
	__u32 is_xdp;
};

const volatile struct target targets[SLOTS] = {};

/* XDP has no parsed header: Ethernet if the ethertype says so, else a device without one. */
static __always_inline bool describe_xdp(struct event *e, struct settings *now, struct xdp_buff *xdp)
{
	unsigned char *data = BPF_CORE_READ(xdp, data);
	const unsigned char *transport;
	__be16 ethertype;

	if (!read_at(&ethertype, sizeof(ethertype), data + ETH_HLEN - 2))
		return false;
	if (ethertype == bpf_htons(ETH_P_IP) || ethertype == bpf_htons(ETH_P_IPV6))
		data += ETH_HLEN;
	if (!parse_ip(e, data, &transport) || !parse_transport(e, transport) || !wanted(e, now))
		return false;
	e->head = (__u64)BPF_CORE_READ(xdp, data_hard_start);
	e->length = (__u64)BPF_CORE_READ(xdp, data_end) - (__u64)BPF_CORE_READ(xdp, data);
	e->flags |= FLAG_INGRESS;
	set_device(e, BPF_CORE_READ(xdp, rxq, dev));
	return true;
}

static __noinline void trace_end(__u64 *ctx, __u32 program, bool is_xdp)
{
	struct settings *now = tracing();
	struct event e = {.hook = HOOK_program};
	struct sk_buff *skb = (struct sk_buff *)ctx[0];

	if (!now)
		return;
	e.program = program;
	e.result = ctx[1];
	if (is_xdp) {
		if (!describe_xdp(&e, now, (struct xdp_buff *)skb))
			return;
	} else {
		if (!describe_skb(&e, now, skb, NULL, NULL))
			return;
		if (BPF_CORE_READ_BITFIELD_PROBED(skb, tc_at_ingress))
			e.flags |= FLAG_INGRESS;
	}
	submit(&e, now);
}

#define SLOT(n)                                                                                              \
	SEC("fexit")                                                                                         \
	int slot_##n(__u64 *ctx)                                                                             \
	{                                                                                                    \
		trace_end(ctx, targets[n].program, targets[n].is_xdp);                                       \
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
