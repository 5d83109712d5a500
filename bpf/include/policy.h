/*
 * Who may send what: the state of this host's containers, and one judge for every device and way.
 *
 *   what a container sends ─▶ is it IP, whole, untagged, without a route of its own making?
 *                              is the source the container's own?      no: dropped, counted by reason
 *                              is the destination the host, a container it may reach, or beyond?
 *
 * Nobody else's neighbour table is asked or filled by a container: ARP and neighbour solicitations are
 * answered here (neighbour.h).
 */
#ifndef PATHPROOF_POLICY_H
#define PATHPROOF_POLICY_H

#include "packet.h"

#define MAX_UPLINKS 4
#define NAME_SIZE 16

struct tenant {
	__u32 word[NAME_SIZE / 4];
};

/* A container, by the host end of its device. impl/forward/tables.ts writes it. */
struct container {
	struct address ipv6, ipv4;
	/* the router or peer beyond its first uplink; unspecified: the FIB is asked for every packet */
	struct address ipv6_next_hop, ipv4_next_hop;
	struct tenant tenant;
	/* in order of preference; 0: none */
	__u32 uplinks[MAX_UPLINKS];
	__u32 flags;
	/* of the host end: the gateway's, as the container knows it */
	__u8 mac[6];
	__u8 unused[2];
};

/* neighbours have to be found */
#define CONTAINER_ETHERNET 1
/* programs run in its own transmit call, where redirect_peer is not legal and the network header is the
 * sender's word */
#define CONTAINER_NETKIT 2
/* nothing that it sends is judged */
#define CONTAINER_TRUSTED 4

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct container);
} containers SEC(".maps");

/* Whose address it is. */
struct endpoint {
	/* the host end of the container's device; of ipvlan its master; 0: the host itself */
	__u32 ifindex;
	/* of ipvlan: dev_id of the slave, which no tenant can change */
	__u32 slave;
	/* of ipvlan: inode of the netns, by which the row is known to be its container's */
	__u32 netns;
	/* enum delivery */
	__u32 delivery;
	__u32 uplinks[MAX_UPLINKS];
	struct tenant tenant;
};

/* How a packet for it gets in. */
enum delivery {
	/* by the host's IP stack */
	DELIVER_STACK,
	/* by redirect_peer */
	DELIVER_PEER,
	/* by its own program: sent out of its device as if it had sent it (redirect_peer with BPF_F_EGRESS)
	 */
	DELIVER_EGRESS,
	/* by ipvlan's own receive handler */
	DELIVER_NATIVE,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

/* Two tenants that may talk with each other, in either order. */
struct tenants {
	struct tenant from, to;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tenants);
	__type(value, __u8);
} allowed SEC(".maps");

/* The same words in the same order as REASONS in impl/forward/reasons.ts. */
enum drop_reason {
	MAY_PASS,
	SPOOFED_SOURCE,
	FOREIGN_TENANT,
	VLAN_TAG,
	NOT_IP,
	SOURCE_ROUTE,
	SPOOFED_NEIGHBOUR,
	LINK_SCOPE,
	MALFORMED,
	MARTIAN,
	WRONG_UPLINK,
	NO_ROUTE,
	TOO_BIG,
};

struct drop {
	/* where: the host end of a container's device, or an uplink. Never a device in a container's netns,
	 * whose owner may choose its index */
	__u32 ifindex;
	/* of a slave of that uplink its dev_id, else 0 */
	__u32 slave;
	__u32 reason;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct drop);
	__type(value, __u64);
} drops SEC(".maps");

/* What each container was asked to be, as JSON: read and written by impl/state/records.ts alone. */
struct record_name {
	char name[NAME_SIZE];
};
struct record {
	char json[1024];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct record_name);
	__type(value, struct record);
} records SEC(".maps");

static __always_inline int drop_of_slave(__u32 ifindex, __u32 slave, __u32 reason)
{
	struct drop key = {ifindex, slave, reason};
	__u64 one = 1, *count = bpf_map_lookup_elem(&drops, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	else if (bpf_map_update_elem(&drops, &key, &one, BPF_NOEXIST)) {
		/* another CPU was first */
		count = bpf_map_lookup_elem(&drops, &key);
		if (count)
			__sync_fetch_and_add(count, 1);
	}
	return VERDICT_DROP;
}

static __always_inline int drop(__u32 ifindex, __u32 reason)
{
	return drop_of_slave(ifindex, 0, reason);
}

static __always_inline bool same_tenant(const struct tenant *a, const struct tenant *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->word[2] == b->word[2] &&
	       a->word[3] == b->word[3];
}

static __always_inline bool may_talk(const struct tenant *from, const struct tenant *to)
{
	struct tenants pair;

	if (same_tenant(from, to))
		return true;
	pair.from = *from;
	pair.to = *to;
	return bpf_map_lookup_elem(&allowed, &pair);
}

static __always_inline bool has_uplink(const __u32 *uplinks, __u32 ifindex)
{
	return uplinks[0] == ifindex || uplinks[1] == ifindex || uplinks[2] == ifindex ||
	       uplinks[3] == ifindex;
}

#define IPPROTO_HOPOPTS 0
#define IPPROTO_ROUTING 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_DSTOPTS 60
/* as many extension headers are looked into; who sends more has something to hide */
#define MAX_EXTENSIONS 4

/* A routing header names further stations: the judge of the first would know nothing of the second. Where
 * there is none, the route knows afterwards what the extension headers lead to. */
static __always_inline bool routes_itself(void *packet, load_bytes load, struct route *route)
{
	__u32 offset = sizeof(struct ipv6_header);
	__u8 next = route->next;

	if (route->family == AF_INET)
		return route->options;
#pragma unroll
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		__u8 header[4];

		if (next == IPPROTO_ROUTING)
			return true;
		route->upper = next;
		route->upper_at = offset;
		route->transport = next;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
			return false;
		if (next == IPPROTO_FRAGMENT)
			route->fragment = true;
		if (load(packet, offset, header, sizeof(header)))
			return true;
		/* a later fragment has no headers behind this one: those of the first were looked at */
		if (next == IPPROTO_FRAGMENT && (header[2] || header[3] & 0xf8)) {
			route->transport = header[0];
			return false;
		}
		offset += next == IPPROTO_FRAGMENT ? 8 : (header[1] + 1) * 8;
		next = header[0];
	}
	route->upper = next;
	route->upper_at = offset;
	route->transport = next;
	return next == IPPROTO_ROUTING || next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

/*
 * netkit shows a program the network header where the sender's socket said it was, and a packet socket may
 * say anything; some of what follows (redirect_neigh) believes it, some (the stack) counts from the frame's
 * first byte. Only what both read alike is passed.
 */
static __always_inline bool reads_alike(struct __sk_buff *skb)
{
	__u32 told[5], seen[5];

	/* up to the first half of an IPv6 source, or the whole of an IPv4 header */
	if (bpf_skb_load_bytes_relative(skb, 0, told, sizeof(told), BPF_HDR_START_NET) ||
	    bpf_skb_load_bytes(skb, ETHERNET_HEADER, seen, sizeof(seen)))
		return false;
	if (told[0] != seen[0] || told[1] != seen[1] || told[2] != seen[2] || told[3] != seen[3] ||
	    told[4] != seen[4])
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return true;
	if (bpf_skb_load_bytes_relative(skb, sizeof(told), told, sizeof(told), BPF_HDR_START_NET) ||
	    bpf_skb_load_bytes(skb, ETHERNET_HEADER + sizeof(seen), seen, sizeof(seen)))
		return false;
	return told[0] == seen[0] && told[1] == seen[1] && told[2] == seen[2] && told[3] == seen[3] &&
	       told[4] == seen[4];
}

/*
 * With DELIVER_EGRESS: from another container to this one, put on this one's device by that one's program,
 * which has judged it. A container that makes up such a packet tells nobody but itself.
 */
static __always_inline bool sent_on_behalf(struct __sk_buff *skb, const struct container *container,
					   const struct route *route, const struct endpoint *there)
{
	struct endpoint *from;

	if (!there || there->ifindex != skb->ifindex || there->delivery != DELIVER_EGRESS)
		return false;
	from = bpf_map_lookup_elem(&endpoints, &route->source);
	return from && may_talk(&from->tenant, &container->tenant);
}

/*
 * May this packet of an IP family go where it wants to? MAY_PASS fills `there`: NULL where the destination is
 * beyond this host.
 */
static __always_inline __u32 judge(struct __sk_buff *skb, const struct container *container,
				   struct route *route, struct endpoint **there)
{
	bool trusted = container->flags & CONTAINER_TRUSTED;

	*there = NULL;
	if (!load_route(skb, route))
		return MALFORMED;
	if (!trusted && container->flags & CONTAINER_NETKIT && !reads_alike(skb))
		return MALFORMED;
	if (routes_itself(skb, load_from_skb, route) && !trusted)
		return SOURCE_ROUTE;
	if (is_martian(route))
		return MARTIAN;
	*there = bpf_map_lookup_elem(&endpoints, &route->destination);
	if (!trusted &&
	    !same_address(&route->source, route->family == AF_INET6 ? &container->ipv6 : &container->ipv4) &&
	    !sent_on_behalf(skb, container, route, *there))
		/* what every stack says of itself as it starts: reports of multicast groups, questions for an
		 * address */
		return is_unspecified(&route->source) && is_link_scope(route) ? LINK_SCOPE : SPOOFED_SOURCE;
	if (!*there)
		return is_link_scope(route) ? LINK_SCOPE : MAY_PASS;
	if ((*there)->ifindex && !trusted && !may_talk(&container->tenant, &(*there)->tenant))
		return FOREIGN_TENANT;
	return MAY_PASS;
}

#endif
