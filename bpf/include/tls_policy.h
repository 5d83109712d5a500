/* What of a container's goes over TLS. impl/tls/policies.ts has the same layout. */
#ifndef PATHPROOF_TLS_POLICY_H
#define PATHPROOF_TLS_POLICY_H

#include <linux/in.h>
#include "end.h"

/* Whose, of which protocol, to which port: as a whole, and only then a prefix. Without padding. */
struct tls_match {
	__u32 prefix;
	/* network byte order; 0: every port */
	__u16 port;
	/* IPPROTO_TCP or IPPROTO_UDP */
	__u8 protocol;
	/* 4 or 6: ::/0 is not all of IPv4 too */
	__u8 version;
	/* the container: its cgroup's id, or the inode of its netns */
	__u64 owner;
	struct address address;
};

#define TLS_WHOLE (8 * (sizeof(struct tls_match) - offsetof(struct tls_match, port)))

struct tls_policy {
	/* where the forward proxy listens, in network byte order: of a loopback address, or in a netns of the
	 * container's own */
	__u32 proxy;
	__u32 flags;
};

/* without a proxy its flows go in clear, where they would otherwise not go at all */
#define TLS_FAIL_OPEN 1

/* What is said of this port counts before what is said of all. */
static __always_inline const struct tls_policy *tls_policy_in(void *policies, __u64 owner, __u8 protocol,
							      const struct end *to)
{
	struct tls_match match = {
	    .prefix = TLS_WHOLE,
	    .port = to->port,
	    .protocol = protocol,
	    .version = is_ipv4(&to->address) ? 4 : 6,
	    .owner = owner,
	    .address = to->address,
	};
	const struct tls_policy *policy = bpf_map_lookup_elem(policies, &match);

	if (policy)
		return policy;
	match.port = 0;
	return bpf_map_lookup_elem(policies, &match);
}

#endif
