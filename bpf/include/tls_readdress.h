/* Other addresses and ports for a packet, an Ethernet header in front of it, and for what an ICMP error
 * quotes. */
#ifndef PATHPROOF_TLS_READDRESS_H
#define PATHPROOF_TLS_READDRESS_H

#include "tls_way.h"

#define UDP_CHECKSUM 6
#define TCP_CHECKSUM 16
#define MAC_SIZE 6

/* Other addresses, and what of the checksums hangs on them, also where a device is still to fill those in. */
static __always_inline __u32 readdress(struct __sk_buff *skb, __u32 at, const struct route *route,
				       const struct address *source, const struct address *destination)
{
	__u32 sum;

	if (route->family == AF_INET6) {
		struct address to[2] = {*source, *destination};

		at += offsetof(struct ipv6_header, source);
		sum = bpf_csum_diff((__be32 *)&route->source, sizeof(to), (__be32 *)to, sizeof(to), 0);
		bpf_skb_store_bytes(skb, at, to, sizeof(to), 0);
	} else {
		__be32 from[2] = {route->source.word[3], route->destination.word[3]};
		__be32 to[2] = {source->word[3], destination->word[3]};

		sum = bpf_csum_diff(from, sizeof(from), to, sizeof(to), 0);
		bpf_l3_csum_replace(skb, at + offsetof(struct ipv4_header, checksum), 0, sum, 0);
		bpf_skb_store_bytes(skb, at + offsetof(struct ipv4_header, source), to, sizeof(to), 0);
	}
	return sum;
}

/* The port at `at` too. */
static __always_inline void change_port(struct __sk_buff *skb, const struct route *route, __u32 at,
					__be16 from, __be16 to, __u32 sum)
{
	__u32 upper = ETHERNET_HEADER + route->upper_at;
	bool udp = route->upper == IPPROTO_UDP;
	__u32 checksum = upper + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;

	bpf_l4_csum_replace(skb, checksum, 0, sum, BPF_F_PSEUDO_HDR | flags);
	bpf_l4_csum_replace(skb, checksum, from, to, sizeof(to) | flags);
	bpf_skb_store_bytes(skb, upper + at, &to, sizeof(to), 0);
}

/* On a packet between eth0's egress and its ingress: from the wire none has a mark. */
#define TURNED 0x7475726e

/* As if it had come to eth0: to another MAC than its own it would be OTHERHOST. */
static __always_inline int enter(struct __sk_buff *skb, const struct tls_ns *me)
{
	skb->mark = TURNED;
	bpf_skb_store_bytes(skb, 0, me->mac, MAC_SIZE, 0);
	return bpf_redirect(me->ifindex, BPF_F_INGRESS);
}

#define IPPROTO_ICMPV6 58
#define ICMP_HEADER 8
#define ICMP_CHECKSUM 2
/* of IPv6, those below are errors */
#define ICMPV6_INFORMATIONAL 128
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12

static __always_inline bool is_icmp_error(__u32 family, __u8 type)
{
	if (family == AF_INET6)
		return type < ICMPV6_INFORMATIONAL;
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
}

/* An error about what was turned quotes it: as its program has sent it, and as if its destination said so. */
static __always_inline int turn_back_error(struct __sk_buff *skb, const struct tls_ns *me,
					   struct route *route, struct tls_ns_alias *alias)
{
	const struct address *own = own_address(me, route->family);
	__u32 at = ETHERNET_HEADER + route->upper_at, quoted = route->upper_at + ICMP_HEADER;
	__u32 checksum = at + ICMP_CHECKSUM, outer, inner;
	struct tls_ns_flow *flow;
	struct route about = {};
	__be16 ports[2], to;
	__u8 type;

	if (load_from_skb(skb, route->upper_at, &type, sizeof(type)) || !is_icmp_error(route->family, type))
		return VERDICT_DROP;
	if (route->family == AF_INET6) {
		struct ipv6_header header;

		if (load_from_skb(skb, quoted, &header, sizeof(header)) || !read_ipv6(&header, &about))
			return VERDICT_DROP;
	} else {
		struct ipv4_header header;

		if (load_from_skb(skb, quoted, &header, sizeof(header)) || !read_ipv4(&header, &about) ||
		    about.options)
			return VERDICT_DROP;
	}
	if ((about.next != IPPROTO_TCP && about.next != IPPROTO_UDP) ||
	    !same_address(&about.source, &alias->address) ||
	    load_from_skb(skb, quoted + about.upper_at, ports, sizeof(ports)))
		return VERDICT_DROP;
	alias->protocol = about.next;
	flow = bpf_map_lookup_elem(&tls_ns_aliases, alias);
	if (!flow)
		return VERDICT_DROP;
	to = flow->original.port;
	inner = readdress(skb, ETHERNET_HEADER + quoted, &about, own, &flow->original.address);
	bpf_skb_store_bytes(skb, ETHERNET_HEADER + quoted + about.upper_at + sizeof(to), &to, sizeof(to), 0);
	outer = readdress(skb, ETHERNET_HEADER, route, &flow->original.address, own);
	/* of IPv4 it has no pseudo-header, and the quoted header's own checksum makes up for its addresses */
	if (route->family == AF_INET6) {
		bpf_l4_csum_replace(skb, checksum, 0, outer, BPF_F_PSEUDO_HDR);
		bpf_l4_csum_replace(skb, checksum, 0, inner, 0);
	}
	bpf_l4_csum_replace(skb, checksum, ports[1], to, sizeof(to));
	return enter(skb, me);
}

#endif
