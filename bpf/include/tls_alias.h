/* A netns whose flows are turned, and the aliases of their destinations. impl/tls/netns.ts has the same
 * layout. */
#ifndef PATHPROOF_TLS_ALIAS_H
#define PATHPROOF_TLS_ALIAS_H

#include "end.h"
#include "hash.h"

/* A netns whose flows are turned, by its inode. impl/tls/netns.ts writes it. */
struct tls_ns {
	/* its container's; all ones: it has none of this family */
	struct address ipv6, ipv4;
	/* the cgroup of its proxy: its id, for people, and its place in tls_ns_proxies */
	__u64 cgroup;
	__u32 proxy;
	/* of eth0, within it */
	__u32 ifindex;
	__u8 mac[6];
	__u8 unused[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tls_ns);
} tls_ns SEC(".maps");

/* The netns behind the host's end of a device. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} tls_ns_ends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} tls_ns_proxies SEC(".maps");

struct tls_ns_alias {
	__u32 netns;
	__u32 protocol;
	struct address address;
};

/* What an alias stands for. */
struct tls_ns_flow {
	/* by bpf_ktime_get_ns: the last packet of a program */
	__u64 used;
	struct end original;
	/* the proxy's port, in network byte order */
	__u32 proxy;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tls_ns_alias);
	__type(value, struct tls_ns_flow);
} tls_ns_aliases SEC(".maps");

#define ALIAS_ATTEMPTS 4

static __always_inline __u32 hash_end(const struct end *end, __u32 seed)
{
	return mix(end->port ^ mix(end->address.word[3] ^
				   mix(end->address.word[2] ^
				       mix(end->address.word[1] ^ mix(end->address.word[0] ^ mix(seed))))));
}

/* 100::/64, which no router takes further (RFC 6666), and 240.0.0.0/5, which nobody has (RFC 1112). Who looks
 * for two destinations of one alias finds them, and has harmed himself: aliases are a netns's own. */
static __always_inline void name_alias(struct address *alias, const struct end *original, __u32 attempt)
{
	__u32 hash = hash_end(original, 2 * attempt + 1);

	if (is_ipv4(&original->address)) {
		map_ipv4(alias, bpf_htonl(0xf0000000 | (hash & 0x07ffffff)));
		return;
	}
	alias->word[0] = bpf_htonl(0x01000000);
	alias->word[1] = 0;
	alias->word[2] = hash_end(original, 2 * attempt + 2);
	alias->word[3] = hash;
}

static __always_inline bool is_alias(const struct address *address)
{
	if (is_ipv4(address))
		return bpf_ntohl(address->word[3]) >> 27 == 0xf0000000 >> 27;
	return address->word[0] == bpf_htonl(0x01000000) && !address->word[1];
}

/* False: all that it might have are others'. `flow`: NULL where nothing was sent there yet. */
static __always_inline bool find_alias(struct tls_ns_alias *alias, const struct end *original,
				       struct tls_ns_flow **flow)
{
	for (__u32 i = 0; i < ALIAS_ATTEMPTS; i++) {
		name_alias(&alias->address, original, i);
		*flow = bpf_map_lookup_elem(&tls_ns_aliases, alias);
		if (!*flow || same_end(&(*flow)->original, original))
			return true;
	}
	return false;
}

static __always_inline const struct address *own_address(const struct tls_ns *me, __u32 family)
{
	return family == AF_INET6 ? &me->ipv6 : &me->ipv4;
}

#endif
