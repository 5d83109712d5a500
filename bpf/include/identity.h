/*
 * Containers that share the host's netns: who a socket belongs to, which addresses are its container's, and
 * what its program was told in their place.
 *
 * A container is a cgroup. Its row is the cgroup storage of the very cgroup that a program hangs on, so that
 * a cgroup within it has no row of its own and is the container's all the same. The kernel keeps the row for
 * as long as the cgroup; nothing is looked up.
 */
#ifndef PATHPROOF_IDENTITY_H
#define PATHPROOF_IDENTITY_H

#include <linux/in.h>
#include <linux/in6.h>
#include "end.h"
#include "hash.h"

/* linux/net.h, which is not for programs */
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3

#define MAX_RANGES 8

/* Of ports, in host byte order, both included; {0, 0} is none. */
struct port_range {
	__u16 first, last;
};

/* impl/identity/tables.ts writes it. */
struct identity {
	/* the id of the cgroup; 0: not written yet, or no more */
	__u64 cgroup;
	/* all zero: it has none of this family */
	struct address ipv6, ipv4;
	__u32 flags;
	__u32 unused;
	/* which ports may be bound, and which of them may not; of the first none is all */
	struct port_range allowed[MAX_RANGES], reserved[MAX_RANGES];
};

/* its IPv4 address is one of 127.0.0.0/8: for programs that know no IPv6, to talk with each other */
#define IDENTITY_IPV4_LOOPBACK 1
/* it may have raw sockets, and those of ICMP */
#define IDENTITY_RAW 2

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct identity);
} identities SEC(".maps");

/* A port of an address that is no container's own. */
struct share {
	struct end end;
	/* IPPROTO_TCP or IPPROTO_UDP */
	__u32 protocol;
};

/* Whose it is, where containers share the address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct share);
	__type(value, __u64);
} shares SEC(".maps");

#define MAX_BACKENDS 32
#define SLOTS 256

/* Written as a whole: who connects meanwhile finds it as it was, or as it is. */
struct service {
	__u32 flags;
	/* whose a client's hash is, by their place below: impl/identity/services.ts sees to it that few
	 * change hands when one goes or comes */
	__u8 slots[SLOTS];
	struct end backends[MAX_BACKENDS];
};

/* all sockets of a client's container get the same backend */
#define SERVICE_STICKY 1

/* What connect and sendmsg translate: an address that no device has, and the containers behind it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct share);
	__type(value, struct service);
} services SEC(".maps");

/* The same words in the same order as in impl/identity/counts.ts. */
enum count {
	SOCKETS,
	RELEASED,
	BINDS,
	CONNECTS,
	DATAGRAMS,
	SERVED,
	FLOWS_OUT,
	FLOWS_IN,
	BYTES_SENT,
	BYTES_RECEIVED,
	UDP_BYTES_SENT,
	UDP_BYTES_RECEIVED,
	/* refused: */
	FOREIGN_ADDRESS,
	FORBIDDEN_PORT,
	NO_SUCH_FAMILY,
	BOUND_BEFORE,
	FORBIDDEN_PROTOCOL,
	ADDRESS_GONE,
	NOT_READY,
	EXPOSED,
	COUNTS,
};

/* By CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, __u64[COUNTS]);
} counts SEC(".maps");

/* What a socket's program asked for, where it got something else. */
struct socket {
	/* the container, by its cgroup: the innermost around the one that the socket was made in */
	__u64 owner;
	/* of the socket that was counted: what accept() answers has a copy of its listener's row */
	__u64 cookie;
	/* bound to: ::, ::1, 0.0.0.0 or 127.x; only with SOCKET_BOUND */
	struct address local;
	/* connected to; only with SOCKET_CONNECTED */
	struct end peer;
	__u32 flags;
};

#define SOCKET_BOUND 1
#define SOCKET_CONNECTED 2

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket);
} sockets SEC(".maps");

/* Of a UDP socket that is not connected: where it really sent to, and what its program had asked for. The
 * socket's own, since the same answer means something else to another. */
#define MAX_ANSWERS 8

struct answer {
	struct end from, asked;
};

struct answers {
	__u32 next;
	struct answer answer[MAX_ANSWERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct answers);
} answers SEC(".maps");

#define REFUSE 0
#define ALLOW 1

static __always_inline void count_many(enum count what, __u64 many)
{
	__u64 *row = bpf_get_local_storage(&counts, 0);

	/* a program may be interrupted by one that counts too */
	__sync_fetch_and_add(&row[what], many);
}

static __always_inline void count(enum count what)
{
	count_many(what, 1);
}

static __always_inline int refuse(enum count why)
{
	count(why);
	return REFUSE;
}

/* ::1 or 127.0.0.0/8 */
static __always_inline bool is_loopback(const struct address *address)
{
	if (is_ipv4(address))
		return bpf_ntohl(address->word[3]) >> 24 == 127;
	return !address->word[0] && !address->word[1] && !address->word[2] &&
	       address->word[3] == bpf_htonl(1);
}

static __always_inline void set_loopback(struct address *address)
{
	if (is_ipv4(address)) {
		address->word[3] = bpf_htonl(INADDR_LOOPBACK);
		return;
	}
	address->word[0] = 0;
	address->word[1] = 0;
	address->word[2] = 0;
	address->word[3] = bpf_htonl(1);
}

/* Of the family of `like`. NULL: the container has none. */
static __always_inline const struct address *own_address(const struct identity *me,
							 const struct address *like)
{
	const struct address *own = is_ipv4(like) ? &me->ipv4 : &me->ipv6;

	return is_unspecified(own) ? NULL : own;
}

static __always_inline bool is_shared(const struct identity *me, const struct end *end, __u32 protocol)
{
	struct share key = {.end = *end, .protocol = protocol};
	__u64 *whose = bpf_map_lookup_elem(&shares, &key);

	return whose && *whose == me->cgroup;
}

static __always_inline bool is_within(const struct port_range *ranges, __u16 port)
{
#pragma unroll
	for (int i = 0; i < MAX_RANGES; i++)
		if (ranges[i].last && ranges[i].first <= port && port <= ranges[i].last)
			return true;
	return false;
}

/* Port 0 is the kernel's choice. */
static __always_inline bool may_bind(const struct identity *me, __u16 port)
{
	if (!port)
		return true;
	if (me->allowed[0].last && !is_within(me->allowed, port))
		return false;
	return !is_within(me->reserved, port);
}

static __always_inline const struct end *choose(const struct service *service, __u64 client)
{
	__u32 slot = mix((__u32)client ^ mix(client >> 32)) & (SLOTS - 1);

	return &service->backends[service->slots[slot] & (MAX_BACKENDS - 1)];
}

#endif
