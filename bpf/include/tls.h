/*
 * What of a container's goes over TLS, and where each flow that does was meant to go. impl/tls/policies.ts
 * and impl/tls/flows.ts have the same layout.
 */
#ifndef PATHPROOF_TLS_H
#define PATHPROOF_TLS_H

#include "identity_socket.h"

/* Whose, of which protocol, to which port: as a whole, and only then a prefix. Without padding. */
struct tls_match {
	__u32 prefix;
	/* network byte order; 0: every port */
	__u16 port;
	/* IPPROTO_TCP or IPPROTO_UDP */
	__u8 protocol;
	/* 4 or 6: ::/0 is not all of IPv4 too */
	__u8 version;
	/* the container's, by which it is known */
	__u64 cgroup;
	struct address address;
};

#define TLS_WHOLE (8 * (sizeof(struct tls_match) - offsetof(struct tls_match, port)))

struct tls_policy {
	/* of a loopback address: where the forward proxy listens, in network byte order */
	__u32 proxy;
	__u32 flags;
};

/* without a proxy its flows go in clear, where they would otherwise not go at all */
#define TLS_FAIL_OPEN 1

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tls_match);
	__type(value, struct tls_policy);
} tls_policies SEC(".maps");

/* A connection as both of its ends on this host see it. */
struct tls_tuple {
	struct end program, proxy;
};

struct tls_flow {
	__u64 cgroup;
	/* by bpf_ktime_get_ns */
	__u64 began;
	/* where its program meant to go */
	struct end original;
	/* the program's end is all zero until the kernel has chosen its port */
	struct tls_tuple tuple;
	__u32 protocol;
	__u32 unused[2];
};

/*
 * By the cookie of the program's socket; gone when that is closed. Not an LRU: whoever has many flows would
 * then take those of others, which are open, and their programs would see the proxy.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct tls_flow);
} tls_flows SEC(".maps");

/* The program's socket, by its connection. As many as there are flows. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tls_tuple);
	__type(value, __u64);
} tls_tuples SEC(".maps");

/* Of a connection that the proxy has accepted: where it was meant to go. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct end);
} tls_originals SEC(".maps");

/* What is said of this port counts before what is said of all. */
static __always_inline const struct tls_policy *tls_policy_of(const struct identity *me, __u8 protocol,
							      const struct end *to)
{
	struct tls_match match = {
	    .prefix = TLS_WHOLE,
	    .port = to->port,
	    .protocol = protocol,
	    .version = is_ipv4(&to->address) ? 4 : 6,
	    .cgroup = me->cgroup,
	    .address = to->address,
	};
	const struct tls_policy *policy = bpf_map_lookup_elem(&tls_policies, &match);

	if (policy)
		return policy;
	match.port = 0;
	return bpf_map_lookup_elem(&tls_policies, &match);
}

static __always_inline void tls_forget(__u64 cookie)
{
	struct tls_flow *flow = bpf_map_lookup_elem(&tls_flows, &cookie);

	if (!flow)
		return;
	if (flow->tuple.program.port)
		bpf_map_delete_elem(&tls_tuples, &flow->tuple);
	bpf_map_delete_elem(&tls_flows, &cookie);
}

#endif
