/*
 * Of containers that share the host's netns: what goes over TLS, and where each flow that does was meant to
 * go. impl/tls/flows.ts has the same layout.
 */
#ifndef PATHPROOF_TLS_H
#define PATHPROOF_TLS_H

#include "identity_socket.h"
#include "tls_policy.h"

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

static __always_inline const struct tls_policy *tls_policy_of(const struct identity *me, __u8 protocol,
							      const struct end *to)
{
	return tls_policy_in(&tls_policies, me->cgroup, protocol, to);
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
