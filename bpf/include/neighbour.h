/*
 * ARP and neighbour discovery of a container, answered where they are heard: the gateway is the host end of
 * its device, and the host's own neighbour table is neither asked nor filled.
 *
 *   who has 192.0.2.2? ─▶ the host end has      (every IPv4 address but the container's own)
 *   who has fe80::1?   ─▶ the host end has      (no other IPv6 address)
 *
 * The question becomes the answer, and goes back by the device that it came from.
 */
#ifndef PATHPROOF_NEIGHBOUR_H
#define PATHPROOF_NEIGHBOUR_H

#include "policy.h"

/* RFC 826, for Ethernet and IPv4 */
struct arp {
	__be16 hardware, protocol;
	__u8 hardware_size, protocol_size;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
};

#define ARP_REQUEST 1
#define ARP_REPLY 2

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

static __always_inline int turn_back(struct __sk_buff *skb, const __u8 *from, const __u8 *to)
{
	__u8 macs[12];

	__builtin_memcpy(macs, to, 6);
	__builtin_memcpy(macs + 6, from, 6);
	if (bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return VERDICT_DROP;
	return bpf_redirect(skb->ifindex, 0);
}

static __always_inline int answer_arp(struct __sk_buff *skb, const struct container *container)
{
	__be32 own = container->ipv4.word[3], sender, target;
	__u8 asker[6];
	struct arp arp;

	if (!(container->flags & CONTAINER_ETHERNET) ||
	    bpf_skb_load_bytes(skb, ETHERNET_HEADER, &arp, sizeof(arp)))
		return drop(skb->ifindex, MALFORMED);
	__builtin_memcpy(&sender, arp.sender, sizeof(sender));
	__builtin_memcpy(&target, arp.target, sizeof(target));
	/* an announcement, or a probe whether the address is free, is of no interest to anybody: only
	 * questions are */
	if (arp.operation != bpf_htons(ARP_REQUEST) || sender != own || target == own)
		return drop(skb->ifindex, SPOOFED_NEIGHBOUR);
	__builtin_memcpy(asker, arp.sender_mac, sizeof(asker));
	arp.operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp.target_mac, arp.sender_mac, sizeof(arp.target_mac));
	__builtin_memcpy(arp.target, &sender, sizeof(sender));
	__builtin_memcpy(arp.sender_mac, container->mac, sizeof(arp.sender_mac));
	__builtin_memcpy(arp.sender, &target, sizeof(target));
	if (bpf_skb_store_bytes(skb, ETHERNET_HEADER, &arp, sizeof(arp), 0))
		return drop(skb->ifindex, MALFORMED);
	return turn_back(skb, container->mac, asker);
}

/* RFC 4861, a solicitation or an advertisement with the one option that says the sender's MAC */
struct neighbour_message {
	__u8 type, code;
	__be16 checksum;
	__be32 flags;
	struct address target;
	__u8 option, option_size;
	__u8 mac[6];
};

#define IPPROTO_ICMPV6 58
#define NEIGHBOUR_SOLICITATION 135
#define NEIGHBOUR_ADVERTISEMENT 136
#define REDIRECT_MESSAGE 137
#define ROUTER_SOLICITATION 133
#define OPTION_SOURCE_MAC 1
#define OPTION_TARGET_MAC 2
/* from a router, asked for, replacing what was known */
#define ADVERTISEMENT_FLAGS 0xe0000000

struct pseudo_header {
	struct address source, destination;
	__be32 length, next;
};

/* Solicitation, advertisement, redirect, router messages: what neighbours tell each other. Not seen: a type
 * that is in the next fragment (RFC 7112), or in a page of a NIC's, which cannot be told from that. */
static __always_inline bool is_neighbour_discovery(void *packet, load_bytes load, const struct route *route)
{
	__u8 type;

	return route->family == AF_INET6 && route->upper == IPPROTO_ICMPV6 &&
	       !load(packet, route->upper_at, &type, sizeof(type)) && type >= ROUTER_SOLICITATION &&
	       type <= REDIRECT_MESSAGE;
}

static __always_inline int answer_solicitation(struct __sk_buff *skb, const struct container *container)
{
	struct {
		struct pseudo_header pseudo;
		struct neighbour_message message;
	} sum = {};
	struct neighbour_message *message = &sum.message;
	struct ipv6_header header;
	__u8 asker[6];
	__u32 offset = ETHERNET_HEADER;
	__s64 folded;

	if (!(container->flags & CONTAINER_ETHERNET) ||
	    bpf_skb_load_bytes(skb, offset, &header, sizeof(header)) ||
	    bpf_skb_load_bytes(skb, offset + sizeof(header), message, sizeof(*message)))
		return drop(skb->ifindex, MALFORMED);
	/* fe80::1 is who they all ask for */
	if (message->type != NEIGHBOUR_SOLICITATION || header.hop_limit != 255 ||
	    !same_address(&header.source, &container->ipv6) ||
	    message->target.word[0] != bpf_htonl(0xfe800000) || message->target.word[1] ||
	    message->target.word[2] || message->target.word[3] != bpf_htonl(1))
		return drop(skb->ifindex, SPOOFED_NEIGHBOUR);
	__builtin_memcpy(asker, message->mac, sizeof(asker));
	header.destination = header.source;
	header.source = message->target;
	header.payload = bpf_htons(sizeof(*message));
	message->type = NEIGHBOUR_ADVERTISEMENT;
	message->checksum = 0;
	message->flags = bpf_htonl(ADVERTISEMENT_FLAGS);
	message->option = OPTION_TARGET_MAC;
	message->option_size = 1;
	__builtin_memcpy(message->mac, container->mac, sizeof(message->mac));
	sum.pseudo.source = header.source;
	sum.pseudo.destination = header.destination;
	sum.pseudo.length = bpf_htonl(sizeof(*message));
	sum.pseudo.next = bpf_htonl(IPPROTO_ICMPV6);
	folded = bpf_csum_diff(NULL, 0, (__be32 *)&sum, sizeof(sum), 0);
	folded = (folded & 0xffff) + (folded >> 16 & 0xffff);
	folded = (folded & 0xffff) + (folded >> 16);
	message->checksum = ~folded;
	if (bpf_skb_store_bytes(skb, offset, &header, sizeof(header), 0) ||
	    bpf_skb_store_bytes(skb, offset + sizeof(header), message, sizeof(*message), 0))
		return drop(skb->ifindex, MALFORMED);
	return turn_back(skb, container->mac, asker);
}

/*
 * Of a device whose neighbours are those of the uplink: it asks, and answers for itself, with its own MAC.
 * The source was found to be its own.
 */
static __always_inline bool speaks_for_itself(struct __sk_buff *skb, const struct route *route,
					      const __u8 *mac)
{
	struct neighbour_message message;
	struct ipv6_header header;
	bool asks;

	if (bpf_skb_load_bytes(skb, ETHERNET_HEADER, &header, sizeof(header)) ||
	    header.next != IPPROTO_ICMPV6 || header.hop_limit != 255)
		return false;
	if (header.payload == bpf_htons(offsetof(struct neighbour_message, option))) {
		if (bpf_skb_load_bytes(skb, ETHERNET_HEADER + sizeof(header), &message,
				       offsetof(struct neighbour_message, option)))
			return false;
		asks = message.type == NEIGHBOUR_SOLICITATION;
	} else {
		if (header.payload != bpf_htons(sizeof(message)) ||
		    bpf_skb_load_bytes(skb, ETHERNET_HEADER + sizeof(header), &message, sizeof(message)))
			return false;
		asks = message.type == NEIGHBOUR_SOLICITATION;
		if (message.option != (asks ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC) ||
		    !same_mac(message.mac, mac))
			return false;
	}
	return asks ||
	       (message.type == NEIGHBOUR_ADVERTISEMENT && same_address(&message.target, &route->source));
}

#endif
