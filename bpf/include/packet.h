/* What a program on the way of a packet reads of it: with or without an Ethernet header, from tc as from
 * netkit. */
#ifndef PATHPROOF_PACKET_H
#define PATHPROOF_PACKET_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define AF_INET 2
#define AF_INET6 10

/* TC_ACT_*, TCX_* and NETKIT_* agree on these: a program means the same by them wherever it is attached. */
#define VERDICT_PASS 0
#define VERDICT_DROP 2

/* An address of either family. IPv4 is ::ffff:a.b.c.d, so that one map holds both. */
struct address {
	__u32 word[4];
};

/* Network byte order; the offsets are those of RFC 8200 and RFC 791. */
#define IPV6_DESTINATION 24
#define IPV4_DESTINATION 16

/*
 * Relative to the network header: a netkit L3 device has no Ethernet header, and whether skb->data stands
 * before or behind one differs between hooks. Returns false where the packet is no IP or too short.
 */
static __always_inline bool load_destination(struct __sk_buff *skb, struct address *to)
{
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return !bpf_skb_load_bytes_relative(skb, IPV6_DESTINATION, to, sizeof(*to),
						    BPF_HDR_START_NET);
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return false;
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	return !bpf_skb_load_bytes_relative(skb, IPV4_DESTINATION, &to->word[3], sizeof(to->word[3]),
					    BPF_HDR_START_NET);
}

/* Multicast, broadcast and link-local stay on their link: neighbour discovery and router advertisements are
 * the stack's. */
static __always_inline bool stays_on_link(struct __sk_buff *skb, const struct address *to)
{
	__u32 first = bpf_ntohl(to->word[0]);

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return (first >> 24) == 0xff || (first >> 22) == (0xfe80 >> 6);
	first = bpf_ntohl(to->word[3]);
	return (first >> 28) == 0xe || first == 0xffffffff || (first >> 16) == 0xa9fe;
}

#endif
