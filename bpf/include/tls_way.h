/* What a packet says of whether it is to be turned, whole or in pieces; and what the kernel's sockets say. */
#ifndef PATHPROOF_TLS_WAY_H
#define PATHPROOF_TLS_WAY_H

#include "policy.h"
#include "tls_alias.h"
#include "tls_policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tls_match);
	__type(value, struct tls_policy);
} tls_ns_policies SEC(".maps");

/* Of an IP packet in pieces, which only in the first has ports. */
struct tls_piece {
	__u32 netns;
	/* of IPv4 the protocol too, in the upper half */
	__u32 id;
	struct address source, destination;
};

/* The alias that the first piece was turned to; all zero: it went as it was. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tls_piece);
	__type(value, struct address);
} tls_ns_pieces SEC(".maps");

#define TCP_FLAGS 13
#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* A packet, as far as it says whether it is to be turned. */
struct way {
	struct route route;
	/* only where the route is of a fragment */
	struct tls_piece piece;
	struct end to;
	__be16 from_port;
	/* no connection has to be there yet */
	bool begins;
	/* NULL: none is about it */
	const struct tls_policy *policy;
};

/* False: it is malformed. `first`: it is whole, or has the ports. */
static __always_inline bool load_piece(struct __sk_buff *skb, __u32 netns, struct way *way, bool *first)
{
	const struct route *route = &way->route;
	__be16 header[4];

	*first = true;
	if (!route->fragment)
		return true;
	way->piece.netns = netns;
	way->piece.source = route->source;
	way->piece.destination = route->destination;
	if (route->family == AF_INET) {
		if (load_from_skb(skb, offsetof(struct ipv4_header, id), header, sizeof(header) / 2))
			return false;
		way->piece.id = (__u32)route->next << 16 | header[0];
		*first = !(header[1] & bpf_htons(0x1fff));
		return true;
	}
	*first = route->upper != IPPROTO_FRAGMENT;
	if (load_from_skb(skb, *first ? route->upper_at - sizeof(header) : route->upper_at, header,
			  sizeof(header)))
		return false;
	way->piece.id = (__u32)header[2] << 16 | header[3];
	return true;
}

/* True: a policy may be about it. False: `verdict` is the last word, or `alias` that of its first piece. */
static __always_inline bool look(struct __sk_buff *skb, __u32 netns, const struct tls_ns *me, struct way *way,
				 struct address **alias, int *verdict)
{
	struct route *route = &way->route;
	__be16 ports[2];
	bool first;
	__u8 flags;

	*alias = NULL;
	*verdict = VERDICT_NEXT;
	if (skb->protocol != bpf_htons(ETH_P_IPV6) && skb->protocol != bpf_htons(ETH_P_IP))
		return false;
	*verdict = VERDICT_DROP;
	if (!load_route(skb, route))
		return false;
	/* with a route of its own, or more headers than are looked into */
	if (routes_itself(skb, load_from_skb, route) &&
	    (route->family == AF_INET6 || route->next == IPPROTO_TCP || route->next == IPPROTO_UDP))
		return false;
	if (is_alias(&route->source) || is_alias(&route->destination) || !load_piece(skb, netns, way, &first))
		return false;
	if (!first) {
		*alias = bpf_map_lookup_elem(&tls_ns_pieces, &way->piece);
		if (*alias && is_unspecified(*alias))
			*verdict = VERDICT_NEXT;
		return false;
	}
	way->policy = NULL;
	way->begins = true;
	if (route->upper != IPPROTO_TCP && route->upper != IPPROTO_UDP)
		return true;
	if (load_from_skb(skb, route->upper_at, ports, sizeof(ports)))
		return false;
	way->from_port = ports[0];
	way->to.address = route->destination;
	way->to.port = ports[1];
	if (route->upper == IPPROTO_TCP) {
		if (load_from_skb(skb, route->upper_at + TCP_FLAGS, &flags, sizeof(flags)))
			return false;
		way->begins = (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	}
	way->policy = tls_policy_in(&tls_ns_policies, netns, route->upper, &way->to);
	if (way->policy && bpf_skb_under_cgroup(skb, &tls_ns_proxies, me->proxy) == 1)
		way->policy = NULL;
	return true;
}

/* Whether there is a socket of that local end, and of this remote one: of TCP one that is connected, or that
 * listens. */
static __always_inline bool has_socket(struct __sk_buff *skb, __u32 protocol, const struct end *local,
				       const struct end *remote)
{
	struct bpf_sock_tuple tuple = {};
	bool listens = !remote->port, found;
	__u32 size = sizeof(tuple.ipv6);
	struct bpf_sock *sk;

	if (is_ipv4(&local->address)) {
		size = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = remote->address.word[3];
		tuple.ipv4.sport = remote->port;
		tuple.ipv4.daddr = local->address.word[3];
		tuple.ipv4.dport = local->port;
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &remote->address, sizeof(tuple.ipv6.saddr));
		tuple.ipv6.sport = remote->port;
		__builtin_memcpy(tuple.ipv6.daddr, &local->address, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.dport = local->port;
	}
	if (protocol == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	found = protocol == IPPROTO_UDP || (sk->state == BPF_TCP_LISTEN) == listens;
	bpf_sk_release(sk);
	return found;
}

/*
 * Whether it goes to the proxy. What may go in clear at all, since its policy says so or there is none any
 * more, goes as it began: the kernel's own sockets know which way that was.
 */
static __always_inline bool turns(struct __sk_buff *skb, const struct tls_ns *me, const struct way *way,
				  const struct tls_ns_alias *alias, const struct tls_ns_flow *flow,
				  __u32 proxy)
{
	struct end local = {}, remote = {};

	if (way->policy && !(way->policy->flags & TLS_FAIL_OPEN))
		return true;
	local.address = *own_address(me, way->route.family);
	local.port = proxy;
	if (!way->begins) {
		remote.address = alias->address;
		remote.port = way->from_port;
		return flow && has_socket(skb, IPPROTO_TCP, &local, &remote);
	}
	if (!way->policy)
		return false;
	remote.address = local.address;
	return has_socket(skb, way->route.upper, &local, &remote);
}

#endif
