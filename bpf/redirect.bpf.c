/*
 * A container's packets past the host's IP stack.
 *
 *   container netns          host netns                                    the wire
 *
 *   eth0 ── netkit/veth ──▶ web
 *                            │ egress_neigh: where is the next hop?
 *                            └──── bpf_redirect_neigh ───▶ eth0 ──────────▶
 *                                                          │
 *   eth0 ◀────────── bpf_redirect_peer ──── ingress_peer: ◀┘◀──────────────
 *                                           whose address?
 *
 * No ip_rcv, no FORWARD, no sysctl: the sender's socket stays attached to its packet until the uplink has
 * sent it. What stays on its link (ARP, neighbour discovery) and what is for the host itself takes the stack,
 * untouched.
 */
#include "include/packet.h"

struct endpoint {
	/* the host end of the container's device; 0: the host itself */
	__u32 ifindex;
};

/* the addresses of this host and of its containers */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

struct next_hop {
	/* the uplink */
	__u32 ifindex;
	/* 0: unknown, the FIB is asked for every packet; else AF_INET or AF_INET6 */
	__u32 family;
	struct address address;
};

#define NEXT_HOP_IPV6 0
#define NEXT_HOP_IPV4 1

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

/* The neighbour's L2 address is filled in by the stack's own neighbour table. */
static __always_inline int redirect_to_neighbour(__u32 ifindex, __u32 family, const struct address *address)
{
	struct bpf_redir_neigh nh = {.nh_family = family};

	if (family == AF_INET)
		nh.ipv4_nh = address->word[3];
	else
		__builtin_memcpy(nh.ipv6_nh, address, sizeof(nh.ipv6_nh));
	return bpf_redirect_neigh(ifindex, &nh, sizeof(nh), 0);
}

/* On the host end of a container's device: netkit/peer, tcx/ingress or clsact ingress. */
SEC("tc")
int egress_neigh(struct __sk_buff *skb)
{
	__u32 key = skb->protocol == bpf_htons(ETH_P_IPV6) ? NEXT_HOP_IPV6 : NEXT_HOP_IPV4;
	struct endpoint *here;
	struct next_hop *hop;
	struct address to;

	if (!load_destination(skb, &to) || stays_on_link(skb, &to))
		return VERDICT_PASS;
	here = bpf_map_lookup_elem(&endpoints, &to);
	if (here && !here->ifindex)
		return VERDICT_PASS;
	/* another container of this host is the neighbour on its own device */
	if (here)
		return redirect_to_neighbour(here->ifindex, key == NEXT_HOP_IPV6 ? AF_INET6 : AF_INET, &to);
	hop = bpf_map_lookup_elem(&next_hops, &key);
	if (!hop || !hop->ifindex)
		return VERDICT_PASS;
	if (!hop->family)
		return bpf_redirect_neigh(hop->ifindex, NULL, 0, 0);
	return redirect_to_neighbour(hop->ifindex, hop->family, &hop->address);
}

/* On the uplink: tcx/ingress or clsact ingress. redirect_peer is legal nowhere else. */
SEC("tc")
int ingress_peer(struct __sk_buff *skb)
{
	struct endpoint *endpoint;
	struct address to;

	if (!load_destination(skb, &to))
		return VERDICT_PASS;
	endpoint = bpf_map_lookup_elem(&endpoints, &to);
	return endpoint && endpoint->ifindex ? bpf_redirect_peer(endpoint->ifindex, 0) : VERDICT_PASS;
}

char LICENSE[] SEC("license") = "GPL";
