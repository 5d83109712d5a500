/*
 * A container's packets past the host's IP stack, or, where the stack forwards, no further than they may go.
 *
 *   container netns          host netns                                    the wire
 *
 *   eth0 ── netkit/veth ──▶ web
 *                            │ egress_neigh: may it? where is the next hop?
 *                            └──── bpf_redirect_neigh ───▶ eth0 ──────────▶
 *                                                          │
 *   eth0 ◀────────── bpf_redirect_peer ──── ingress_peer: ◀┘◀──────────────
 *                                           whose address?
 *
 * No ip_rcv, no FORWARD, no sysctl: the sender's socket stays attached to its packet until the uplink has
 * sent it. What is for the host itself takes the stack.
 *
 * Instead of egress_neigh: egress_fib asks the host's routes for each packet, for hosts with several uplinks;
 * egress_guard only judges, and the stack forwards.
 */
#include "include/neighbour.h"

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

/* linux/bpf.h has it as BPF_F_EGRESS from 7.3 on; earlier kernels drop a packet with a flag that they do not
 * know. */
#define REDIRECT_EGRESS (1ULL << 1)

/*
 * To another container of this host. redirect_peer, which has no backlog, is legal at tc ingress only. To
 * itself comes what was sent out of its device on behalf of another: its program has the last word.
 */
static __always_inline int deliver(struct __sk_buff *skb, const struct container *from,
				   const struct route *route, const struct endpoint *to)
{
	if (to->delivery == DELIVER_EGRESS && to->ifindex != skb->ifindex)
		return bpf_redirect_peer(to->ifindex, REDIRECT_EGRESS);
	if (to->delivery == DELIVER_NATIVE)
		return drop(skb->ifindex, NO_ROUTE);
	if (from->flags & CONTAINER_NETKIT)
		return redirect_to_neighbour(to->ifindex, route->family, &route->destination);
	return bpf_redirect_peer(to->ifindex, 0);
}

/* What all three begin with. True: it may go on, to `there` or beyond this host. False: `verdict` is the last
 * word. */
static __always_inline bool admit(struct __sk_buff *skb, const struct container *container,
				  struct route *route, struct endpoint **there, int *verdict)
{
	__u32 reason;

	*there = NULL;
	/* a device whose container is not known yet, or no more */
	if (!container) {
		*verdict = drop(skb->ifindex, SPOOFED_SOURCE);
		return false;
	}
	if (skb->vlan_present) {
		*verdict = drop(skb->ifindex, VLAN_TAG);
		return false;
	}
	if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		*verdict = answer_arp(skb, container);
		return false;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) && skb->protocol != bpf_htons(ETH_P_IP)) {
		*verdict = drop(skb->ifindex, NOT_IP);
		return false;
	}
	reason = judge(skb, container, route, there);
	/* Of neighbour discovery nothing goes on but the answer to its question: what is redirected keeps its
	 * hop limit, by which neighbours know each other. */
	if ((reason == LINK_SCOPE || (reason == MAY_PASS && !(container->flags & CONTAINER_TRUSTED))) &&
	    is_neighbour_discovery(skb, load_from_skb, route)) {
		*verdict = answer_solicitation(skb, container);
		return false;
	}
	if (reason == MAY_PASS) {
		*verdict = VERDICT_PASS;
		return !*there || (*there)->ifindex;
	}
	*verdict = drop(skb->ifindex, reason);
	return false;
}

/* What those begin with that send past the stack. True: it goes beyond this host, by an uplink. */
static __always_inline bool goes_beyond(struct __sk_buff *skb, struct container **container,
					struct route *route, int *verdict)
{
	__u32 ifindex = skb->ifindex;
	struct endpoint *there;

	*container = bpf_map_lookup_elem(&containers, &ifindex);
	if (!admit(skb, *container, route, &there, verdict))
		return false;
	if (there)
		*verdict = deliver(skb, *container, route, there);
	return !there;
}

/* On the host end of a container's device: netkit/peer, tcx/ingress or clsact ingress. */
SEC("tc")
int egress_neigh(struct __sk_buff *skb)
{
	struct container *container;
	struct address *hop;
	struct route route;
	int verdict;

	if (!goes_beyond(skb, &container, &route, &verdict))
		return verdict;
	hop = route.family == AF_INET6 ? &container->ipv6_next_hop : &container->ipv4_next_hop;
	return is_unspecified(hop) ? bpf_redirect_neigh(container->uplinks[0], NULL, 0, 0)
				   : redirect_to_neighbour(container->uplinks[0], route.family, hop);
}

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_DCCP 33
#define IPPROTO_SCTP 132
#define IPPROTO_UDPLITE 136

/* As the kernel's own rules see it: of fragments they know no ports, not even of the first. */
static __always_inline bool has_ports(const struct route *route)
{
	return !route->fragment &&
	       (route->upper == IPPROTO_TCP || route->upper == IPPROTO_UDP || route->upper == IPPROTO_SCTP ||
		route->upper == IPPROTO_DCCP || route->upper == IPPROTO_UDPLITE);
}

/* What the host's routes and rules say of a packet that came in by the container's device, which alone must
 * have forwarding switched on. All is told that a rule may ask for, but the mark, which no container's packet
 * has. Answers BPF_FIB_LKUP_RET_*. */
static __always_inline int ask_routes(struct __sk_buff *skb, const struct route *route,
				      struct bpf_fib_lookup *fib)
{
	__be16 ports[2];

	fib->family = route->family;
	fib->ifindex = skb->ifindex;
	fib->l4_protocol = route->transport;
	fib->flowinfo = route->flow;
	if (has_ports(route) && !load_from_skb(skb, route->upper_at, ports, sizeof(ports))) {
		fib->sport = ports[0];
		fib->dport = ports[1];
	}
	if (route->family == AF_INET) {
		fib->ipv4_src = route->source.word[3];
		fib->ipv4_dst = route->destination.word[3];
	} else {
		__builtin_memcpy(fib->ipv6_src, &route->source, sizeof(fib->ipv6_src));
		__builtin_memcpy(fib->ipv6_dst, &route->destination, sizeof(fib->ipv6_dst));
	}
	return bpf_fib_lookup(skb, fib, sizeof(*fib), 0);
}

/* The same for hosts with several uplinks: the host's routes and rules choose among those of the container.
 */
SEC("tc")
int egress_fib(struct __sk_buff *skb)
{
	struct bpf_fib_lookup fib = {};
	struct bpf_redir_neigh nh = {};
	struct container *container;
	struct route route;
	int verdict;

	if (!goes_beyond(skb, &container, &route, &verdict))
		return verdict;
	verdict = ask_routes(skb, &route, &fib);
	if (verdict == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return drop(skb->ifindex, TOO_BIG);
	/* who the neighbour is redirect_neigh will find out, and wait for it if it must */
	if (verdict != BPF_FIB_LKUP_RET_SUCCESS && verdict != BPF_FIB_LKUP_RET_NO_NEIGH)
		return drop(skb->ifindex, NO_ROUTE);
	if (!has_uplink(container->uplinks, fib.ifindex))
		return drop(skb->ifindex, WRONG_UPLINK);
	nh.nh_family = fib.family;
	if (fib.family == AF_INET)
		nh.ipv4_nh = fib.ipv4_dst;
	else
		__builtin_memcpy(nh.ipv6_nh, fib.ipv6_dst, sizeof(nh.ipv6_nh));
	return bpf_redirect_neigh(fib.ifindex, &nh, sizeof(nh), 0);
}

/*
 * The same place, where the host's stack forwards: nothing but the judgement. What the stack would send by a
 * device that is none of the container's uplinks, such as to a neighbour there, goes nowhere; where it has no
 * route at all, or a smaller MTU, it has to say so itself.
 */
SEC("tc")
int egress_guard(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct container *container = bpf_map_lookup_elem(&containers, &ifindex);
	struct bpf_fib_lookup fib = {};
	struct endpoint *there;
	struct route route;
	int verdict;

	if (!admit(skb, container, &route, &there, &verdict) || there)
		return verdict;
	verdict = ask_routes(skb, &route, &fib);
	/* into a tunnel, of which the lookup does not tell by which device it leaves */
	if (verdict == BPF_FIB_LKUP_RET_UNSUPP_LWT)
		return drop(ifindex, NO_ROUTE);
	if (verdict != BPF_FIB_LKUP_RET_SUCCESS && verdict != BPF_FIB_LKUP_RET_NO_NEIGH &&
	    verdict != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return VERDICT_PASS;
	return has_uplink(container->uplinks, fib.ifindex) ? VERDICT_PASS : drop(ifindex, WRONG_UPLINK);
}

#define VLAN_ID 0x0fff

/* On the uplink: tcx/ingress or clsact ingress. redirect_peer is legal nowhere else. */
SEC("tc")
int ingress_peer(struct __sk_buff *skb)
{
	struct endpoint *to, *from;
	struct route route;

	if (skb->vlan_present) {
		/* a tagged frame is for the VLAN device above this one; VLAN 0 is none, and says a priority
		 * (802.1p) */
		if (skb->vlan_tci & VLAN_ID || bpf_skb_vlan_pop(skb))
			return VERDICT_NEXT;
	}
	if (!load_route(skb, &route))
		return VERDICT_NEXT;
	/* who lives on this host does not come by the wire */
	from = bpf_map_lookup_elem(&endpoints, &route.source);
	if (from)
		return drop(skb->ifindex, SPOOFED_SOURCE);
	to = bpf_map_lookup_elem(&endpoints, &route.destination);
	if (!to || (to->delivery != DELIVER_PEER && to->delivery != DELIVER_EGRESS))
		return VERDICT_NEXT;
	if (!has_uplink(to->uplinks, skb->ifindex))
		return drop(skb->ifindex, WRONG_UPLINK);
	/* a neighbour of the uplink is none of the container's: no advertisement of a router, no redirect
	 * from it */
	if (is_neighbour_discovery(skb, load_from_skb, &route))
		return drop(skb->ifindex, SPOOFED_NEIGHBOUR);
	return bpf_redirect_peer(to->ifindex, 0);
}

char LICENSE[] SEC("license") = "GPL";
