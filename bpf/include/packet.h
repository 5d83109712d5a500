/* What a program on the way of a packet reads of it: with or without an Ethernet header, from tc as from
 * netkit. */
#ifndef PATHPROOF_PACKET_H
#define PATHPROOF_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_IPV6 0x86DD
#define ETHERNET_HEADER 14
#define AF_INET 2
#define AF_INET6 10

/* TC_ACT_*, TCX_* and NETKIT_* agree on these: a program means the same by them wherever it is attached. */
#define VERDICT_PASS 0
#define VERDICT_DROP 2
/* TCX_NEXT and TC_ACT_UNSPEC: whoever comes after has a say as well, on an uplink and on a container's own
 * device */
#define VERDICT_NEXT -1

/* An address of either family. IPv4 is ::ffff:a.b.c.d, so that one map holds both. */
struct address {
	__u32 word[4];
};

/* RFC 8200 */
struct ipv6_header {
	/* version, traffic class, flow label */
	__be32 first;
	__be16 payload;
	__u8 next;
	__u8 hop_limit;
	struct address source, destination;
};

/* RFC 791, without options */
struct ipv4_header {
	/* version, and length in words */
	__u8 first;
	__u8 tos;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source, destination;
};

/* Source and destination of either family, and where the network header's own bytes are. */
struct route {
	__u32 family;
	/* of IPv6 the first next header; of IPv4 the protocol */
	__u8 next;
	/* IPv4 with options */
	bool options;
	/* a piece of a datagram: of IPv6 as far as its extension headers were looked at */
	bool fragment;
	/* what is behind IPv6's extension headers, as far as they were looked at, and where it is */
	__u8 upper;
	__u32 upper_at;
	/* what rules of the host's routes may ask for: the protocol, which of a datagram's later pieces
	 * `upper` is not; and of IPv6 traffic class and flow label, of IPv4 the type of service in the first
	 * byte */
	__u8 transport;
	__be32 flow;
	struct address source, destination;
};

static __always_inline bool same_address(const struct address *a, const struct address *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
	       a->word[3] == b->word[3];
}

static __always_inline void map_ipv4(struct address *to, __be32 address)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	to->word[3] = address;
}

/* How a packet's bytes are read, counted from the network header on. 0: they are there. */
typedef long (*load_bytes)(void *packet, __u32 offset, void *to, __u32 size);

static __always_inline long load_from_skb(void *skb, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes_relative(skb, offset, to, size, BPF_HDR_START_NET);
}

/*
 * The network header's first bytes, wherever they are: a netkit L3 device has no Ethernet header, and whether
 * skb->data stands before or behind one differs between hooks. A NIC may leave all behind the Ethernet header
 * in pages, which this way of reading does not look into, until they are pulled.
 */
static __always_inline bool load_network_header(struct __sk_buff *skb, void *header, __u32 size)
{
	__u32 wanted = ETHERNET_HEADER + size;

	if (!bpf_skb_load_bytes_relative(skb, 0, header, size, BPF_HDR_START_NET))
		return true;
	if (wanted > skb->len)
		wanted = skb->len;
	return !bpf_skb_pull_data(skb, wanted) &&
	       !bpf_skb_load_bytes_relative(skb, 0, header, size, BPF_HDR_START_NET);
}

/* False: it is not of the version that it is sent as. */
static __always_inline bool read_ipv6(const struct ipv6_header *header, struct route *route)
{
	route->family = AF_INET6;
	route->next = header->next;
	route->options = false;
	route->fragment = false;
	route->flow = header->first & bpf_htonl(0x0fffffff);
	route->transport = header->next;
	route->upper = header->next;
	route->upper_at = sizeof(*header);
	route->source = header->source;
	route->destination = header->destination;
	return (bpf_ntohl(header->first) >> 28) == 6;
}

static __always_inline bool read_ipv4(const struct ipv4_header *header, struct route *route)
{
	route->family = AF_INET;
	route->next = header->protocol;
	route->options = header->first > 0x45;
	route->fragment = header->fragment & bpf_htons(0x3fff);
	route->flow = bpf_htonl((__u32)header->tos << 24);
	route->transport = header->protocol;
	route->upper = header->protocol;
	route->upper_at = (header->first & 15) * 4;
	map_ipv4(&route->source, header->source);
	map_ipv4(&route->destination, header->destination);
	return header->first >> 4 == 4 && header->first >= 0x45;
}

/* Returns false where the packet is no IP, too short, or not of the version that it is sent as. */
static __always_inline bool load_route(struct __sk_buff *skb, struct route *route)
{
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6_header header;

		return load_network_header(skb, &header, sizeof(header)) && read_ipv6(&header, route);
	}
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct ipv4_header header;

		return load_network_header(skb, &header, sizeof(header)) && read_ipv4(&header, route);
	}
	return false;
}

/* Multicast, broadcast and link-local: no router takes it further. */
static __always_inline bool is_link_scope(const struct route *route)
{
	__u32 first = bpf_ntohl(route->destination.word[0]);

	if (route->family == AF_INET6)
		return (first >> 24) == 0xff || (first >> 22) == (0xfe800000 >> 22);
	first = bpf_ntohl(route->destination.word[3]);
	return (first >> 28) == 0xe || first == 0xffffffff || (first >> 16) == 0xa9fe;
}

/* :: or 0.0.0.0 */
static __always_inline bool is_unspecified(const struct address *address)
{
	return !address->word[0] && !address->word[1] && !address->word[3] &&
	       (!address->word[2] || address->word[2] == bpf_htonl(0xffff));
}

/* ::1, ::, 127.0.0.0/8, 0.0.0.0/8, ::ffff:0:0/96 in IPv6: never on a wire. */
static __always_inline bool is_martian(const struct route *route)
{
	const struct address *to = &route->destination;
	__u32 first = bpf_ntohl(to->word[3]) >> 24;

	if (route->family == AF_INET)
		return first == 127 || first == 0;
	return !to->word[0] && !to->word[1] &&
	       (to->word[2] == bpf_htonl(0xffff) || (!to->word[2] && bpf_ntohl(to->word[3]) <= 1));
}

#endif
