/*
 * What became of the frames that packet sockets of one netns send: each is counted once, at its end, whatever
 * its bytes say.
 *
 *   a packet socket ─▶ __dev_queue_xmit       from here on it is followed, by its skb's address
 *                        │  a program says drop: fexit of the program
 *                        ├─▶ kfree_skb            refused by that program, or dropped by the kernel
 *                        ├─▶ consume_skb          the kernel was done with it
 *                        ├─▶ ip(6)_rcv_core       an IP stack has it: whose?
 *                        └─▶ net_dev_start_xmit   a device of another netns sends it: with whose source?
 *
 * Unlike trace.bpf.c it reads no header to know a frame, and so loses none that is no IP, or is cut short.
 */
#include "include/kernel.h"
#include "include/packet.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define AF_PACKET 17

struct subject {
	/* whose packet sockets */
	__u32 netns;
	__u32 unused;
	/* what may leave that netns: nothing else is the subject's own */
	struct address ipv6, ipv4;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct subject);
} subject SEC(".maps");

/* The same words in the same order as ENDS in vmtests/support/guest/witness.ts. */
enum end {
	/* the beginning */
	SENT,
	REFUSED,
	DROPPED,
	CONSUMED,
	STACK,
	LEFT,
	/* LEFT, and it says that somebody else sent it */
	LEFT_FOREIGN,
	/* of packets that are not followed: an IP stack has one that no socket of another netns sent, a
	 * program says drop of one */
	OTHER,
	OTHER_REFUSED,
};

struct count_key {
	__u32 end;
	/* where: of the device that the packet was on last */
	__u32 netns;
	__u32 ifindex;
	__u32 unused;
	/* of a drop: the reason; where the kernel has none, the caller's address */
	__u64 reason;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct count_key);
	__type(value, __u64);
} counts SEC(".maps");

/* Under way, by the skb's address: 1 where a program has said drop. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} followed SEC(".maps");

static __noinline void count(__u32 end, struct net_device *dev, __u64 reason)
{
	struct count_key key = {.end = end, .reason = reason};
	__u64 none = 0, *found;

	if (dev) {
		key.netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		key.ifindex = BPF_CORE_READ(dev, ifindex);
	}
	bpf_map_update_elem(&counts, &key, &none, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&counts, &key);
	if (found)
		__sync_fetch_and_add(found, 1);
}

static __always_inline struct subject *the_subject(void)
{
	__u32 key = 0;
	struct subject *found = bpf_map_lookup_elem(&subject, &key);

	return found && found->netns ? found : NULL;
}

static __always_inline __u64 *follow(__u64 skb)
{
	return bpf_map_lookup_elem(&followed, &skb);
}

static __noinline void end(__u32 how, __u64 skb, struct net_device *dev, __u64 reason)
{
	count(how, dev, reason);
	bpf_map_delete_elem(&followed, &skb);
}

SEC("fentry/__dev_queue_xmit")
int begin(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	struct subject *now = the_subject();
	__u64 key = (__u64)skb, none = 0;
	struct sock *sk;

	if (!now || BPF_CORE_READ(dev, nd_net.net, ns.inum) != now->netns)
		return 0;
	sk = BPF_CORE_READ(skb, sk);
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_PACKET)
		return 0;
	bpf_map_update_elem(&followed, &key, &none, BPF_ANY);
	count(SENT, dev, 0);
	return 0;
}

SEC("raw_tp/kfree_skb")
int on_kfree_skb(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 skb = ctx->args[0], *refused = follow(skb);

	if (refused)
		end(*refused ? REFUSED : DROPPED, skb, BPF_CORE_READ((struct sk_buff *)skb, dev),
		    bpf_core_type_exists(enum skb_drop_reason) ? (__u32)ctx->args[2] : ctx->args[1]);
	return 0;
}

SEC("raw_tp/consume_skb")
int on_consume_skb(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 skb = ctx->args[0];

	if (follow(skb))
		end(CONSUMED, skb, BPF_CORE_READ((struct sk_buff *)skb, dev), 0);
	return 0;
}

/* By the bytes behind the Ethernet header, which is what the next one on the wire will read. */
static __always_inline bool is_own(struct sk_buff *skb, const struct subject *now)
{
	unsigned char *data = BPF_CORE_READ(skb, data);
	struct address source;
	__be16 type;

	if (bpf_probe_read_kernel(&type, sizeof(type), data + ETHERNET_HEADER - sizeof(type)))
		return false;
	if (type == bpf_htons(ETH_P_IPV6))
		return !bpf_probe_read_kernel(&source, sizeof(source),
					      data + ETHERNET_HEADER +
						  offsetof(struct ipv6_header, source)) &&
		       same_address(&source, &now->ipv6);
	if (type != bpf_htons(ETH_P_IP))
		return false;
	map_ipv4(&source, 0);
	return !bpf_probe_read_kernel(&source.word[3], sizeof(source.word[3]),
				      data + ETHERNET_HEADER + offsetof(struct ipv4_header, source)) &&
	       same_address(&source, &now->ipv4);
}

SEC("raw_tp/net_dev_start_xmit")
int on_net_dev_start_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 skb = ctx->args[0];
	struct net_device *dev = (struct net_device *)ctx->args[1];
	struct subject *now = the_subject();

	if (now && follow(skb) && BPF_CORE_READ(dev, nd_net.net, ns.inum) != now->netns)
		end(is_own((struct sk_buff *)skb, now) ? LEFT : LEFT_FOREIGN, skb, dev, 0);
	return 0;
}

/* What a kernel says of itself at any time, such as which groups it listens to, has its own socket until a
 * stack takes it. */
static __always_inline bool is_anothers(struct sk_buff *skb, const struct subject *now)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);

	return sk && BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) != now->netns;
}

static __always_inline int stack(__u64 skb)
{
	struct net_device *dev = BPF_CORE_READ((struct sk_buff *)skb, dev);
	struct subject *now = the_subject();

	if (follow(skb))
		end(STACK, skb, dev, 0);
	else if (now && !is_anothers((struct sk_buff *)skb, now))
		count(OTHER, dev, 0);
	return 0;
}

SEC("fentry/ip6_rcv_core")
int on_ip6_rcv_core(__u64 *ctx)
{
	return stack(ctx[0]);
}

SEC("fentry/ip_rcv_core")
int on_ip_rcv_core(__u64 *ctx)
{
	return stack(ctx[0]);
}

/* Of a program that is named when this is loaded. */
SEC("fexit")
int verdict(__u64 *ctx)
{
	__u64 *refused = follow(ctx[0]);

	if ((int)ctx[1] != VERDICT_DROP)
		return 0;
	if (refused)
		*refused = 1;
	else if (the_subject())
		count(OTHER_REFUSED, BPF_CORE_READ((struct sk_buff *)ctx[0], dev), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
