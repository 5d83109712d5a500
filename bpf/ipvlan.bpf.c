/*
 * An ipvlan container's packets pass no device of the host's but the uplink, where they look like the host's
 * own.
 *
 *   container netns                                host netns                 the wire
 *
 *   eth0 ── slave_guard: is the source its own? ─▶ (ipvlan) ─▶ eth0
 *    ▲      by dev_id, which no tenant can change              │ uplink_guard: whose socket sent it?
 *    │                                                         └─────────────▶
 *    └───── slave_ingress: unicast only ◀── (ipvlan) ◀─────────────────────────
 *
 * The neighbours of one uplink reach each other by it too: uplink_ingress.
 *
 * A packet socket may go round the slave's hook (PACKET_QDISC_BYPASS), and then its frame has a socket, of
 * the container's netns, when it comes to the uplink. One without a socket was forwarded, and passed the
 * slave's hook. Multicast goes from slave to slave whatever the mode: hence slave_ingress.
 *
 * What is not closed: a packet without a socket that its container rewrites behind the slave's hook (tc's
 * pedit on egress, generic XDP_TX) comes to the uplink with whatever source it likes. veth and netkit have no
 * such place.
 */
#include "include/neighbour.h"
#include "include/kernel.h"

/* since 6.2 (fd264ca02094); the links that these programs need are newer */
extern void *bpf_cast_to_kern_ctx(void *skb) __ksym;

/* enum pkt_type of linux/if_packet.h */
#define PACKET_HOST 0

/* Whose netns it is, by its inode; one that is not here is nobody's. */
struct netns {
	/* how its packets were judged before they came to the uplink */
	__u32 judged;
};

#define JUDGED_BY_DEVICE 1
#define JUDGED_BY_SLAVE 2

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct netns);
} netnses SEC(".maps");

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
	if (routes_itself(skb, &route))
		return SOURCE_ROUTE;
	if (is_martian(&route))
		return MARTIAN;
	if (is_neighbour_discovery(skb, &route))
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
	struct endpoint *from;
	struct address source;
	__u32 reason;

	if (skb->vlan_present)
		return drop(skb->ifindex, VLAN_TAG);
	if (!load_source(skb, &source))
		return drop(skb->ifindex, NOT_IP);
	from = bpf_map_lookup_elem(&endpoints, &source);
	/* slaves of another uplink are counted from one as well: hence the netns, too */
	if (!from || !from->slave || from->slave != packet->dev->dev_id ||
	    from->netns != packet->dev->nd_net.net->ns.inum)
		return drop(skb->ifindex, SPOOFED_SOURCE);
	reason = judge_frame(skb, packet, from);
	return reason == MAY_PASS ? VERDICT_NEXT : drop(skb->ifindex, reason);
}

/* tcx/ingress of the container's eth0 */
SEC("tc")
int slave_ingress(struct __sk_buff *skb)
{
	return skb->pkt_type == PACKET_HOST ? VERDICT_NEXT : drop(skb->ifindex, LINK_SCOPE);
}

/* tcx/egress of the uplink */
SEC("tc")
int uplink_guard(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	struct sock *socket = packet->sk;
	struct endpoint *from;
	struct address source;
	struct netns *netns;
	__u32 inode, reason;

	if (!socket)
		return VERDICT_NEXT;
	inode = socket->__sk_common.skc_net.net->ns.inum;
	if (inode == packet->dev->nd_net.net->ns.inum)
		return VERDICT_NEXT;
	netns = bpf_map_lookup_elem(&netnses, &inode);
	if (netns && netns->judged == JUDGED_BY_DEVICE)
		return VERDICT_NEXT;
	if (!netns || skb->vlan_present || !load_source(skb, &source))
		return drop(skb->ifindex, SPOOFED_SOURCE);
	from = bpf_map_lookup_elem(&endpoints, &source);
	if (!from || from->netns != inode || from->ifindex != skb->ifindex)
		return drop(skb->ifindex, SPOOFED_SOURCE);
	/* once more, for what came round the slave's hook, or was changed behind it */
	reason = judge_frame(skb, packet, from);
	return reason == MAY_PASS ? VERDICT_NEXT : drop(skb->ifindex, reason);
}

/*
 * tcx/ingress of the uplink. A frame that says it is for this very MAC, in no protocol that ipvlan knows, is
 * handed to the uplink as if it had come by the wire, and from there to whom it is addressed: its socket
 * gives it away, or, of a netns that a tenant made and moved the slave to, the sender's MAC, which nobody
 * beyond the wire has.
 */
SEC("tc")
int uplink_ingress(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);
	struct netns *netns;
	struct sock *socket;
	__u8 macs[12], own[6];
	__u32 inode;

	if (!bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) &&
	    !bpf_probe_read_kernel(own, sizeof(own), packet->dev->dev_addr) && same_mac(macs + 6, own))
		return drop(skb->ifindex, SPOOFED_SOURCE);
	socket = packet->sk;
	if (!socket)
		return VERDICT_NEXT;
	inode = socket->__sk_common.skc_net.net->ns.inum;
	netns = bpf_map_lookup_elem(&netnses, &inode);
	return netns && netns->judged == JUDGED_BY_SLAVE ? drop(skb->ifindex, SPOOFED_SOURCE) : VERDICT_NEXT;
}

char LICENSE[] SEC("license") = "GPL";
