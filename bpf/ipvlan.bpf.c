/*
 * An ipvlan container's packets pass no device of the host's but the uplink, where they look like the host's
 * own: who sends is known from the moment that ipvlan takes a packet from a slave.
 *
 *   container netns        ipvlan                     host netns                         the wire
 *
 *   eth0 ── slave_guard ──▶ ipvlan_takes ─ layer 2 ──▶ eth0: uplink_guard ──────────────▶
 *    ▲                      whose it is  └ layer 3 ──▶ output_guard ─▶ (routes) ─▶ eth0 ─▶
 *    │
 *    └───── slave_ingress ◀─────────────────────────── eth0: uplink_ingress ◀─────────────
 *
 * slave_guard is where a container hears why nothing goes out. It is not the last word: a packet socket goes
 * round it (PACKET_QDISC_BYPASS, AF_XDP), and behind it its owner may rewrite and multiply packets (tc's
 * actions, netem, generic XDP_TX). uplink_guard and output_guard are: whatever ipvlan sends for a slave comes
 * to one of them on the same CPU, before anything else that this CPU sends. Only multicast in layer 2 waits
 * for a worker, and is known by its address until then.
 *
 * The neighbours of one uplink reach each other by it too: uplink_ingress. Multicast goes from slave to slave
 * whatever the mode: hence slave_ingress.
 *
 * ipvlan hands a frame to the slave that has its destination, and asks nobody whether it may. No program can
 * say otherwise: by an address of the host's on eth0 an owner would cut the host off from the wire, and see
 * with tcpdump what was for it. Hence a slave of the host's own has those addresses (impl/devices/holder.ts),
 * since another slave's nobody can have (EADDRINUSE). What the host is given later, an owner may take before
 * `net gc` has seen it; `net check` tells of it. Of layer 3 it is so with every other address too: by one
 * that is nobody's here an owner keeps the other slaves of that uplink from reaching it.
 */
#include "include/neighbour.h"
#include "include/kernel.h"
#include <bpf/bpf_core_read.h>

/* since 6.2 (fd264ca02094); the links that these programs need are newer */
extern void *bpf_cast_to_kern_ctx(void *skb) __ksym;
/* of netfilter programs since 6.4 (fd9c663b9ad6) */
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *bytes) __ksym;

/* enum pkt_type of linux/if_packet.h */
#define PACKET_HOST 0
/* include/net/net_namespace.h: lo, in every netns */
#define LOOPBACK_IFINDEX 1
/* enum ipvlan_mode of linux/if_link.h */
#define IPVLAN_MODE_L2 0
/* linux/netfilter.h */
#define NF_DROP 0
#define NF_ACCEPT 1
/* what netdev_priv() aligns to (NETDEV_ALIGN); since 6.11 the size itself is aligned to more */
#define PRIVATE_ALIGNMENT 32

/* A slave, as no tenant can change it. */
struct slave {
	/* the uplink's struct net_device; 0: nobody */
	__u64 uplink;
	/* dev_id: its own among the slaves of that uplink */
	__u64 id;
};

/* Whose packet ipvlan has in its hands on this CPU, until somebody has judged it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slave);
} sending SEC(".maps");

/* Multicast that a worker will send, by the address of its struct sk_buff. ipvlan keeps 1000 for each uplink
 * (IPVLAN_QBACKLOG_LIMIT). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct slave);
} waiting SEC(".maps");

static __always_inline struct ipvl_dev *private_of(struct net_device *dev)
{
	__u64 size = bpf_core_type_size(struct net_device);

	return (void *)dev + ((size + PRIVATE_ALIGNMENT - 1) & -PRIVATE_ALIGNMENT);
}

static __always_inline struct slave slave_of(struct net_device *dev)
{
	struct ipvl_dev *private = private_of(dev);

	return (struct slave){(__u64)BPF_CORE_READ(private, phy_dev), BPF_CORE_READ(dev, dev_id)};
}

static __always_inline __u32 uplink_of(const struct slave *slave)
{
	struct net_device *uplink = (struct net_device *)slave->uplink;

	return BPF_CORE_READ(uplink, ifindex);
}

/* Whether ipvlan leaves it to the worker. Of what it does not, nobody would take the row away. */
static __always_inline bool will_wait(const struct sk_buff *packet, struct net_device *dev)
{
	struct ipvl_dev *private = private_of(dev);
	__u8 macs[12];

	return BPF_CORE_READ(private, port, mode) == IPVLAN_MODE_L2 &&
	       !bpf_probe_read_kernel(macs, sizeof(macs), BPF_CORE_READ(packet, data)) && macs[0] & 1 &&
	       !same_mac(macs, macs + 6);
}

/* ipvlan gets a packet from a slave: by a qdisc, or round it. */
SEC("fentry/ipvlan_start_xmit")
int ipvlan_takes(__u64 *ctx)
{
	struct net_device *dev = (struct net_device *)ctx[1];
	struct sk_buff *packet = (struct sk_buff *)ctx[0];
	struct slave slave = slave_of(dev), *mine;
	__u64 key = (__u64)packet;
	__u32 first = 0;

	mine = bpf_map_lookup_elem(&sending, &first);
	if (mine)
		*mine = slave;
	if (will_wait(packet, dev))
		bpf_map_update_elem(&waiting, &key, &slave, BPF_ANY);
	return 0;
}

/* It is through with that: dropped, left to a worker, or sent and judged. */
SEC("fexit/ipvlan_start_xmit")
int ipvlan_has_sent(__u64 *ctx)
{
	struct slave *mine;
	__u32 first = 0;

	mine = bpf_map_lookup_elem(&sending, &first);
	if (mine)
		mine->uplink = 0;
	return 0;
}

/* What was dropped comes to no uplink: another packet may have its address. */
SEC("tp_btf/kfree_skb")
int forget_dropped(__u64 *ctx)
{
	__u64 key = ctx[0];

	bpf_map_delete_elem(&waiting, &key);
	return 0;
}

/* Whose packet it is, which is by now at its uplink: 0 where no slave sent it. It is told once. */
static __always_inline __u32 sender_of(struct sk_buff *packet)
{
	__u64 key = (__u64)packet, uplink = (__u64)packet->dev;
	struct slave *mine = bpf_map_lookup_elem(&waiting, &key);
	__u32 first = 0, id;

	if (mine) {
		/* of another uplink it is on its way to this one, from a slave that a tenant made */
		id = mine->uplink == uplink ? mine->id : 0;
		bpf_map_delete_elem(&waiting, &key);
		return id;
	}
	mine = bpf_map_lookup_elem(&sending, &first);
	if (!mine || mine->uplink != uplink)
		return 0;
	mine->uplink = 0;
	return mine->id;
}

static __always_inline struct endpoint *endpoint_of(const struct address *source, __u32 uplink, __u32 slave)
{
	struct endpoint *found = bpf_map_lookup_elem(&endpoints, source);

	return found && found->slave == slave && found->ifindex == uplink ? found : NULL;
}

/* The source of an ARP message or an IP packet, where the frame itself says so. False: it is neither. */
static __always_inline bool load_source(struct __sk_buff *skb, struct address *source)
{
	__be16 type;

	if (bpf_skb_load_bytes(skb, ETHERNET_HEADER - sizeof(type), &type, sizeof(type)) ||
	    type != skb->protocol)
		return false;
	if (type == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, ETHERNET_HEADER + offsetof(struct ipv6_header, source), source,
				       sizeof(*source)))
			return false;
		/* an IPv4 address in an IPv6 packet is nobody's */
		if (!source->word[0] && !source->word[1] && source->word[2] == bpf_htonl(0xffff))
			source->word[2] = 0;
		return true;
	}
	map_ipv4(source, 0);
	if (type == bpf_htons(ETH_P_IP))
		return !bpf_skb_load_bytes(skb, ETHERNET_HEADER + offsetof(struct ipv4_header, source),
					   &source->word[3], sizeof(source->word[3]));
	return type == bpf_htons(ETH_P_ARP) &&
	       !bpf_skb_load_bytes(skb, ETHERNET_HEADER + offsetof(struct arp, sender), &source->word[3],
				   sizeof(source->word[3]));
}

/* As it would leave by the uplink. MAY_PASS: the source is one of `from`, and the rest is in order. */
static __always_inline __u32 judge_frame(struct __sk_buff *skb, const struct sk_buff *packet,
					 const struct endpoint *from)
{
	struct endpoint *there;
	struct route route;
	__u8 macs[12], own[6];
	struct arp arp;

	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) ||
	    bpf_probe_read_kernel(own, sizeof(own), packet->dev->dev_addr))
		return MALFORMED;
	/* a switch would send the other's frames here; in L3 modes the slave's own header is replaced */
	if (!same_mac(macs + 6, own))
		return SPOOFED_NEIGHBOUR;
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		if (bpf_skb_load_bytes(skb, ETHERNET_HEADER, &arp, sizeof(arp)))
			return MALFORMED;
		return same_mac(arp.sender_mac, own) ? MAY_PASS : SPOOFED_NEIGHBOUR;
	}
	if (!load_route(skb, &route) || !reads_alike(skb))
		return MALFORMED;
	if (routes_itself(skb, load_from_skb, &route))
		return SOURCE_ROUTE;
	if (is_martian(&route))
		return MARTIAN;
	if (is_neighbour_discovery(skb, load_from_skb, &route))
		return speaks_for_itself(skb, &route, own) ? MAY_PASS : SPOOFED_NEIGHBOUR;
	there = bpf_map_lookup_elem(&endpoints, &route.destination);
	if (there && there->ifindex && !may_talk(&from->tenant, &there->tenant))
		return FOREIGN_TENANT;
	/* a frame for everybody is one, whosever the packet in it is */
	return macs[0] & 1 || (!there && is_link_scope(&route)) ? LINK_SCOPE : MAY_PASS;
}

/* tcx/egress of the container's eth0 */
SEC("tc")
int slave_guard(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	struct slave slave = slave_of(packet->dev);
	__u32 uplink = uplink_of(&slave), reason;
	struct endpoint *from;
	struct address source;

	if (skb->vlan_present)
		return drop_of_slave(uplink, slave.id, VLAN_TAG);
	if (!load_source(skb, &source))
		return drop_of_slave(uplink, slave.id, NOT_IP);
	from = endpoint_of(&source, uplink, slave.id);
	reason = from ? judge_frame(skb, packet, from) : SPOOFED_SOURCE;
	return reason == MAY_PASS ? VERDICT_NEXT : drop_of_slave(uplink, slave.id, reason);
}

/* tcx/ingress of the container's eth0. Its owner may give it any address, such as the host's, and ipvlan
 * hands it what comes for that. */
SEC("tc")
int slave_ingress(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	struct slave slave = slave_of(packet->dev);
	__u32 uplink = uplink_of(&slave);
	struct route route;

	if (skb->pkt_type != PACKET_HOST)
		return drop_of_slave(uplink, slave.id, LINK_SCOPE);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return VERDICT_NEXT;
	if (!load_route(skb, &route) || !endpoint_of(&route.destination, uplink, slave.id))
		return drop_of_slave(uplink, slave.id, FOREIGN_TENANT);
	return VERDICT_NEXT;
}

/* tcx/egress of the uplink */
SEC("tc")
int uplink_guard(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	__u32 slave = sender_of(packet), reason;
	struct endpoint *from;
	struct address source;

	if (!slave)
		return VERDICT_NEXT;
	if (skb->vlan_present || !load_source(skb, &source))
		return drop(skb->ifindex, SPOOFED_SOURCE);
	from = endpoint_of(&source, skb->ifindex, slave);
	reason = from ? judge_frame(skb, packet, from) : SPOOFED_SOURCE;
	return reason == MAY_PASS ? VERDICT_NEXT : drop(skb->ifindex, reason);
}

static long load_from_output(void *bytes, __u32 offset, void *to, __u32 size)
{
	return bpf_dynptr_read(to, size, bytes, offset, 0);
}

/* What a slave of layer 3 sends, as the host's stack has routed it: to wherever. */
static __always_inline __u32 judge_output(struct sk_buff *packet, struct bpf_dynptr *bytes, __u32 uplink,
					  __u32 slave, __u32 out)
{
	union {
		struct ipv6_header ipv6;
		struct ipv4_header ipv4;
	} header;
	struct endpoint *from, *there;
	struct route route;

	if (packet->protocol == bpf_htons(ETH_P_IPV6)) {
		if (load_from_output(bytes, 0, &header.ipv6, sizeof(header.ipv6)) ||
		    !read_ipv6(&header.ipv6, &route))
			return MALFORMED;
	} else if (load_from_output(bytes, 0, &header.ipv4, sizeof(header.ipv4)) ||
		   !read_ipv4(&header.ipv4, &route))
		return MALFORMED;
	from = endpoint_of(&route.source, uplink, slave);
	if (!from)
		return SPOOFED_SOURCE;
	if (routes_itself(bytes, load_from_output, &route))
		return SOURCE_ROUTE;
	if (is_martian(&route))
		return MARTIAN;
	if (is_neighbour_discovery(bytes, load_from_output, &route))
		return SPOOFED_NEIGHBOUR;
	there = bpf_map_lookup_elem(&endpoints, &route.destination);
	if (there && there->ifindex && !may_talk(&from->tenant, &there->tenant))
		return FOREIGN_TENANT;
	if (there)
		return MAY_PASS;
	if (is_link_scope(&route))
		return LINK_SCOPE;
	/* ipvlan asks for a route by its uplink, and of IPv6 it may be given another */
	return out == uplink || out == LOOPBACK_IFINDEX ? MAY_PASS : WRONG_UPLINK;
}

/* The host's own output, of both families. It is the same netns that the uplink is in. */
SEC("netfilter")
int output_guard(struct bpf_nf_ctx *ctx)
{
	struct sk_buff *packet = ctx->skb;
	struct bpf_dynptr bytes;
	__u32 slave, reason;

	/* what a socket of the host's own sends has no device yet */
	if (!packet->dev)
		return NF_ACCEPT;
	slave = sender_of(packet);
	if (!slave)
		return NF_ACCEPT;
	reason = bpf_dynptr_from_skb((struct __sk_buff *)packet, 0, &bytes)
		     ? MALFORMED
		     : judge_output(packet, &bytes, packet->dev->ifindex, slave, ctx->state->out->ifindex);
	if (reason == MAY_PASS)
		return NF_ACCEPT;
	drop(packet->dev->ifindex, reason);
	return NF_DROP;
}

/*
 * tcx/ingress of the uplink. In layer 2 a slave's frame from an address to the same address is handed to the
 * uplink as if it had come by the wire, whichever address that is. Nobody beyond the wire sends such.
 */
SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	__u8 macs[12];

	if (!bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) && same_mac(macs, macs + 6))
		return drop(skb->ifindex, SPOOFED_SOURCE);
	return VERDICT_NEXT;
}

char LICENSE[] SEC("license") = "GPL";
