/*
 * TCP and UDP of a container with a netns of its own, turned to the forward proxy within that netns.
 *
 *   program                eth0                                     lo                 forward proxy
 *
 *   C ─▶ peer, 443 ─egress─▶ tls_turn: alias ─▶ C, proxy
 *                            └─ redirect ─ingress─▶ (the stack) ──────────────────────▶ accept() = alias
 *                                                                 tls_turn_back: ◀─ingress─ C, proxy ─▶ alias
 *   C ◀─ peer, 443 ◀─────────────ingress◀──────────── redirect ── C ◀─ peer, 443
 *
 *                  host
 *   eth0 ── veth ─▶ web: tls_guard: in clear? dropped
 *
 * Each destination has an alias, an address that nobody has, and all that goes there comes to the proxy from
 * it, with the port that it had. So what was two flows is two flows still, whether of one UDP socket or of
 * two connections from one port, and a row says what an alias stands for: getsockopt(SO_ORIGINAL_DST) answers
 * by it, and of datagrams whoever reads the map. An alias is a hash of its destination. A row that was lost
 * is the same when it is made again, so the map may forget the one that was quiet for longest, and a flow
 * goes on.
 *
 * Aliases are the container's own by a route: the kernel sends answers to them by lo, whatever else becomes
 * of them. Of loopback they cannot be, nor the proxy listen there: eth0 would not take such a packet.
 *
 * No proxy listens: the kernel says so, by RST or ICMP, and that is turned back like any answer.
 *
 * A policy is about packets, whoever began: what a server of the container's answers to a destination that is
 * turned is turned too, and reset. Otherwise it would be in clear.
 *
 * What the proxy itself sends is known by the cgroup that its socket was made in, which is the host's to say.
 * The owner of the netns can go round a program on eth0 (PACKET_QDISC_BYPASS, AF_XDP); tls_guard, on the
 * host's end, he cannot. It lets no packet pass whose destination is not plain, and no later piece of one
 * that tls_turn has not seen begin.
 */
#include "include/kernel.h"
#include "include/tls_original.h"
#include "include/tls_readdress.h"

/* since 6.2 (fd264ca02094); the links that these programs need are newer */
extern void *bpf_cast_to_kern_ctx(void *skb) __ksym;

static __always_inline __u32 netns_of(struct __sk_buff *skb)
{
	struct sk_buff *packet = bpf_cast_to_kern_ctx(skb);

	return packet->dev->nd_net.net->ns.inum;
}

/* On eth0 in the container's netns: tcx/egress. */
SEC("tc")
int tls_turn(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), proxy, sum;
	struct tls_ns *me = bpf_map_lookup_elem(&tls_ns, &netns);
	struct tls_ns_alias alias = {.netns = netns};
	struct tls_ns_flow *flow, fresh = {};
	struct address *begun, clear = {};
	const struct address *own;
	struct way way = {};
	int verdict;

	/* eth0 was moved to another netns, of which nothing is known */
	if (!me)
		return VERDICT_DROP;
	if (!look(skb, netns, me, &way, &begun, &verdict)) {
		if (!begun || verdict == VERDICT_NEXT)
			return verdict;
		readdress(skb, ETHERNET_HEADER, &way.route, begun, own_address(me, way.route.family));
		return enter(skb, me);
	}
	alias.protocol = way.route.upper;
	flow = NULL;
	if ((way.policy || !way.begins) && !find_alias(&alias, &way.to, &flow))
		return VERDICT_DROP;
	proxy = way.policy ? way.policy->proxy : flow ? flow->proxy : 0;
	if (!proxy || !turns(skb, me, &way, &alias, flow, proxy)) {
		if (way.route.fragment)
			bpf_map_update_elem(&tls_ns_pieces, &way.piece, &clear, BPF_ANY);
		return VERDICT_NEXT;
	}
	own = own_address(me, way.route.family);
	if (!same_address(&way.route.source, own))
		return VERDICT_DROP;
	if (flow) {
		flow->used = bpf_ktime_get_coarse_ns();
		flow->proxy = proxy;
	} else {
		fresh.used = bpf_ktime_get_coarse_ns();
		fresh.original = way.to;
		fresh.proxy = proxy;
		if (bpf_map_update_elem(&tls_ns_aliases, &alias, &fresh, BPF_ANY))
			return VERDICT_DROP;
	}
	if (way.route.fragment && bpf_map_update_elem(&tls_ns_pieces, &way.piece, &alias.address, BPF_ANY))
		return VERDICT_DROP;
	sum = readdress(skb, ETHERNET_HEADER, &way.route, &alias.address, own);
	change_port(skb, &way.route, sizeof(__be16), way.to.port, proxy, sum);
	return enter(skb, me);
}

/* On lo in the container's netns: tcx/ingress. */
SEC("tc")
int tls_turn_back(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), sum;
	struct tls_ns *me = bpf_map_lookup_elem(&tls_ns, &netns);
	struct tls_ns_alias alias = {.netns = netns};
	struct tls_ns_flow *flow;
	struct way way = {};
	__be16 port;
	bool first;

	if (!me || !load_route(skb, &way.route) || !is_alias(&way.route.destination))
		return VERDICT_NEXT;
	if (routes_itself(skb, load_from_skb, &way.route) || !load_piece(skb, netns, &way, &first))
		return VERDICT_DROP;
	alias.address = way.route.destination;
	if (first && way.route.upper == (way.route.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return turn_back_error(skb, me, &way.route, &alias);
	alias.protocol = way.route.transport;
	flow = bpf_map_lookup_elem(&tls_ns_aliases, &alias);
	if (!flow || (first && load_from_skb(skb, way.route.upper_at, &port, sizeof(port))))
		return VERDICT_DROP;
	sum = readdress(skb, ETHERNET_HEADER, &way.route, &flow->original.address,
			own_address(me, way.route.family));
	if (first)
		change_port(skb, &way.route, 0, port, flow->original.port, sum);
	return enter(skb, me);
}

/* On eth0 in the container's netns: tcx/ingress. Who comes there from an alias, and was not turned, would be
 * taken for a program. */
SEC("tc")
int tls_arrive(struct __sk_buff *skb)
{
	struct route route;

	if (skb->mark == TURNED) {
		skb->mark = 0;
		return VERDICT_NEXT;
	}
	return load_route(skb, &route) && is_alias(&route.source) ? VERDICT_DROP : VERDICT_NEXT;
}

/* On the host's end of the container's device: netkit/peer or tcx/ingress, before all others. */
SEC("tc")
int tls_guard(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, *netns = bpf_map_lookup_elem(&tls_ns_ends, &ifindex);
	struct tls_ns *me = netns ? bpf_map_lookup_elem(&tls_ns, netns) : NULL;
	struct address *begun;
	struct way way = {};
	int verdict;

	if (!me || skb->vlan_present)
		return VERDICT_DROP;
	if ((skb->protocol == bpf_htons(ETH_P_IPV6) || skb->protocol == bpf_htons(ETH_P_IP)) &&
	    !reads_alike(skb))
		return VERDICT_DROP;
	if (!look(skb, *netns, me, &way, &begun, &verdict))
		return verdict;
	return way.policy && !(way.policy->flags & TLS_FAIL_OPEN) ? VERDICT_DROP : VERDICT_NEXT;
}

#define ALLOW 1

/* On the cgroup of the proxy. */
SEC("cgroup/getsockopt")
int tls_ns_original(struct bpf_sockopt *ctx)
{
	struct tls_ns_alias alias = {.protocol = IPPROTO_TCP};
	struct bpf_sock *sk = ctx->sk;
	struct bpf_sockopt_kern *asked;
	struct tls_ns_flow *flow;

	if (!asks_original(ctx) || !sk)
		return ALLOW;
	asked = bpf_cast_to_kern_ctx(ctx);
	alias.netns = asked->sk->__sk_common.skc_net.net->ns.inum;
	if (sk->family == AF_INET) {
		map_ipv4(&alias.address, sk->dst_ip4);
		/* or clang loads the fields of both families by one address, which the verifier refuses */
		asm volatile("");
	} else {
		alias.address.word[0] = sk->dst_ip6[0];
		alias.address.word[1] = sk->dst_ip6[1];
		alias.address.word[2] = sk->dst_ip6[2];
		alias.address.word[3] = sk->dst_ip6[3];
	}
	flow = bpf_map_lookup_elem(&tls_ns_aliases, &alias);
	if (flow)
		answer_original(ctx, &flow->original);
	return ALLOW;
}

char LICENSE[] SEC("license") = "GPL";
