/*
 * UDP of a container that shares the host's netns, turned to the forward proxy beside it. One socket sends to
 * many destinations from one address and port, so what the proxy sees of them must differ by more than that:
 * each destination of each socket has an alias, an address that nobody has, and the datagram comes from
 * there.
 *
 *   program (in the container's cgroup)   here                                 the wire between them (lo)
 *
 *   sendto(peer, 53)       ─▶ tls_sendmsg6   alias → socket, peer           ─▶ alias → ::1, proxy
 *   recvfrom() = peer      ◀─ tls_recvmsg6   peer by alias                  ◀─ alias → its own address
 *   connect(peer, 53)      ─▶ tls_udp6       alias → socket, peer           ─▶ its own address → ::1, proxy
 *
 *   forward proxy (in its own cgroup)
 *
 *   recvfrom() = alias     ◀─ tls_heard6     of a connected socket: its alias
 *   sendto(alias)          ─▶ tls_answer6    the socket's own address       ─▶ from the alias
 *
 * So no packet meets a program, and nothing is put into it or taken out: its size is what it was.
 */
#include "include/tls.h"

/* What a socket sends to one destination. */
struct tls_way {
	__u64 cookie;
	struct end original;
	__u32 unused;
};

/* What is behind an alias. */
struct tls_alias {
	__u64 cgroup;
	__u64 cookie;
	/* by bpf_ktime_get_ns: the last datagram that its program sent */
	__u64 used;
	struct end original;
	/* the socket's own, or what it would send from */
	struct address program;
	/* answers come from the proxy, which the socket is connected to */
	__u16 connected;
	/* its port, in network byte order */
	__u16 proxy;
};

/*
 * The one that was quiet for longest goes, as of a NAT's flows: what is answered behind it is refused to the
 * proxy, and the next datagram makes another one.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, struct tls_alias);
} tls_aliases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tls_way);
	__type(value, struct address);
} tls_ways SEC(".maps");

/* Of a connected socket: its alias, for the proxy that has a datagram of it. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct address);
} tls_connected SEC(".maps");

#define ALIAS_ATTEMPTS 4

/* 100::/64, which no router takes further (RFC 6666), and the upper half of 127.0.0.0/8 without its last
 * address. */
static __always_inline void random_alias(struct address *alias, const struct address *like)
{
	__u32 random = bpf_get_prandom_u32();

	if (is_ipv4(like)) {
		map_ipv4(alias, bpf_htonl(0x7f800000 | (random & 0x7ffffe)));
		return;
	}
	alias->word[0] = bpf_htonl(0x01000000);
	alias->word[1] = 0;
	alias->word[2] = 0;
	alias->word[3] = random;
}

static __always_inline bool is_alias(const struct address *address)
{
	if (is_ipv4(address))
		return bpf_ntohl(address->word[3]) >> 23 == 0x7f800000 >> 23;
	return address->word[0] == bpf_htonl(0x01000000) && !address->word[1];
}

static __always_inline bool make_alias(struct address *alias, const struct tls_alias *row)
{
	for (int i = 0; i < ALIAS_ATTEMPTS; i++) {
		random_alias(alias, &row->original.address);
		if (!bpf_map_update_elem(&tls_aliases, alias, row, BPF_NOEXIST))
			return true;
	}
	return false;
}

static __always_inline struct bpf_sock *lookup_udp(struct bpf_sock_addr *ctx, const struct end *local,
						   const struct end *remote)
{
	struct bpf_sock_tuple tuple = {};

	if (is_ipv4(&local->address)) {
		tuple.ipv4.daddr = local->address.word[3];
		tuple.ipv4.dport = local->port;
		tuple.ipv4.saddr = remote->address.word[3];
		tuple.ipv4.sport = remote->port;
		return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(tuple.ipv6.daddr, &local->address, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.dport = local->port;
	__builtin_memcpy(tuple.ipv6.saddr, &remote->address, sizeof(tuple.ipv6.saddr));
	tuple.ipv6.sport = remote->port;
	return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/*
 * The proxy of what is sent to `original`; false: it is not to be turned, and `verdict` is the last word.
 * Where no socket hears, a datagram would be answered by ICMP, which quotes it to whoever sent it: the alias.
 */
static __always_inline bool find_proxy(struct bpf_sock_addr *ctx, const struct identity *me,
				       const struct end *original, struct end *proxy, int *verdict)
{
	const struct tls_policy *policy = tls_policy_of(me, IPPROTO_UDP, original);
	struct end nobody = {};
	struct bpf_sock *sk;

	*verdict = ALLOW;
	if (!policy)
		return false;
	proxy->address = original->address;
	set_loopback(&proxy->address);
	proxy->port = policy->proxy;
	nobody.address = proxy->address;
	sk = lookup_udp(ctx, proxy, &nobody);
	if (sk) {
		bpf_sk_release(sk);
		return true;
	}
	*verdict = policy->flags & TLS_FAIL_OPEN ? ALLOW : REFUSE;
	return false;
}

static __always_inline int turn_datagram(struct bpf_sock_addr *ctx, __u32 family)
{
	struct identity *me = who();
	struct tls_alias fresh = {};
	struct address alias, *known;
	struct bpf_sock *sk = ctx->sk;
	struct tls_way way = {};
	struct tls_alias *row;
	struct end proxy;
	int verdict;

	if (!sk)
		return REFUSE;
	if (!claimed(me, sk))
		return ALLOW;
	way.cookie = bpf_get_socket_cookie(ctx);
	load_end(&way.original, ctx, family);
	if (!find_proxy(ctx, me, &way.original, &proxy, &verdict))
		return verdict;
	known = bpf_map_lookup_elem(&tls_ways, &way);
	row = known ? bpf_map_lookup_elem(&tls_aliases, known) : NULL;
	if (row && row->cookie == way.cookie && same_end(&row->original, &way.original)) {
		alias = *known;
		row->used = bpf_ktime_get_ns();
		load_source(&row->program, ctx, family);
	} else {
		fresh.cgroup = me->cgroup;
		fresh.cookie = way.cookie;
		fresh.used = bpf_ktime_get_ns();
		fresh.original = way.original;
		fresh.proxy = proxy.port;
		load_source(&fresh.program, ctx, family);
		if (!make_alias(&alias, &fresh))
			return REFUSE;
		bpf_map_update_elem(&tls_ways, &way, &alias, BPF_ANY);
	}
	store_end(ctx, family, &proxy);
	store_source(ctx, family, &alias);
	return ALLOW;
}

SEC("cgroup/sendmsg6")
int tls_sendmsg6(struct bpf_sock_addr *ctx)
{
	return turn_datagram(ctx, AF_INET6);
}

SEC("cgroup/sendmsg4")
int tls_sendmsg4(struct bpf_sock_addr *ctx)
{
	return turn_datagram(ctx, AF_INET);
}

/* Its datagrams meet no hook behind this one: they come from where it is bound to, and the proxy's hook finds
 * it there. */
static __always_inline int turn_connected(struct bpf_sock_addr *ctx, __u32 family)
{
	struct identity *me = who();
	struct tls_alias row = {};
	struct bpf_sock *sk = ctx->sk;
	struct tls_flow flow = {};
	const struct address *own;
	struct address alias;
	__u64 cookie;
	int verdict;

	if (!sk)
		return REFUSE;
	if (ctx->protocol != IPPROTO_UDP || !claimed(me, sk))
		return ALLOW;
	cookie = bpf_get_socket_cookie(ctx);
	tls_forget(cookie);
	bpf_sk_storage_delete(&tls_connected, sk);
	load_end(&flow.original, ctx, family);
	if (!find_proxy(ctx, me, &flow.original, &flow.tuple.proxy, &verdict))
		return verdict;
	own = own_address(me, &flow.original.address);
	if (!own)
		return REFUSE;
	flow.cgroup = me->cgroup;
	flow.began = bpf_ktime_get_ns();
	flow.protocol = IPPROTO_UDP;
	row.cgroup = me->cgroup;
	row.cookie = cookie;
	row.used = flow.began;
	row.original = flow.original;
	row.program = *own;
	row.connected = 1;
	row.proxy = flow.tuple.proxy.port;
	if (!make_alias(&alias, &row) || bpf_map_update_elem(&tls_flows, &cookie, &flow, BPF_ANY) ||
	    !bpf_sk_storage_get(&tls_connected, sk, &alias, BPF_SK_STORAGE_GET_F_CREATE))
		return REFUSE;
	store_end(ctx, family, &flow.tuple.proxy);
	return ALLOW;
}

SEC("cgroup/connect6")
int tls_udp6(struct bpf_sock_addr *ctx)
{
	return turn_connected(ctx, AF_INET6);
}

SEC("cgroup/connect4")
int tls_udp4(struct bpf_sock_addr *ctx)
{
	return turn_connected(ctx, AF_INET);
}

static __always_inline int show_sent_to(struct bpf_sock_addr *ctx, __u32 family)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tls_alias *row;
	struct tls_flow *flow;
	struct end end;

	load_end(&end, ctx, family);
	row = bpf_map_lookup_elem(&tls_aliases, &end.address);
	if (row) {
		if (row->cookie == cookie)
			store_end(ctx, family, &row->original);
		return ALLOW;
	}
	flow = bpf_map_lookup_elem(&tls_flows, &cookie);
	if (flow && same_end(&end, &flow->tuple.proxy))
		store_end(ctx, family, &flow->original);
	return ALLOW;
}

SEC("cgroup/recvmsg6")
int tls_recvmsg6(struct bpf_sock_addr *ctx)
{
	return show_sent_to(ctx, AF_INET6);
}

SEC("cgroup/recvmsg4")
int tls_recvmsg4(struct bpf_sock_addr *ctx)
{
	return show_sent_to(ctx, AF_INET);
}

/* To the proxy: who is connected to it, by his alias. */
static __always_inline int show_alias(struct bpf_sock_addr *ctx, __u32 family)
{
	struct bpf_sock *own = ctx->sk, *sk;
	struct address *alias, found = {};
	struct end from, local;

	load_end(&from, ctx, family);
	if (!own || is_alias(&from.address))
		return ALLOW;
	load_local(&local, own, family);
	sk = lookup_udp(ctx, &from, &local);
	if (!sk)
		return ALLOW;
	alias = bpf_sk_storage_get(&tls_connected, sk, 0, 0);
	if (alias)
		found = *alias;
	bpf_sk_release(sk);
	if (is_unspecified(&found))
		return ALLOW;
	from.address = found;
	store_end(ctx, family, &from);
	return ALLOW;
}

SEC("cgroup/recvmsg6")
int tls_heard6(struct bpf_sock_addr *ctx)
{
	return show_alias(ctx, AF_INET6);
}

SEC("cgroup/recvmsg4")
int tls_heard4(struct bpf_sock_addr *ctx)
{
	return show_alias(ctx, AF_INET);
}

/* Of the proxy, to an alias. */
static __always_inline int answer_alias(struct bpf_sock_addr *ctx, __u32 family)
{
	struct tls_alias *row;
	struct end to;

	load_end(&to, ctx, family);
	if (!is_alias(&to.address))
		return ALLOW;
	row = bpf_map_lookup_elem(&tls_aliases, &to.address);
	if (!row)
		return REFUSE;
	if (!row->connected)
		store_source(ctx, family, &to.address);
	to.address = row->program;
	store_end(ctx, family, &to);
	return ALLOW;
}

SEC("cgroup/sendmsg6")
int tls_answer6(struct bpf_sock_addr *ctx)
{
	return answer_alias(ctx, AF_INET6);
}

SEC("cgroup/sendmsg4")
int tls_answer4(struct bpf_sock_addr *ctx)
{
	return answer_alias(ctx, AF_INET);
}

char LICENSE[] SEC("license") = "GPL";
