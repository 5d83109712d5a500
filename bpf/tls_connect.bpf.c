/*
 * TCP of a container that shares the host's netns, turned to the forward proxy beside it: what each end asks,
 * and what it gets.
 *
 *   program (in the container's cgroup)   here                              the kernel
 *
 *   connect(peer, 443)     ─▶ tls_connect6   cookie → peer             ─▶ connect(::1, proxy)
 *                             tls_flow       both ends → cookie        ◀─ it has a port, no SYN is sent yet
 *   getpeername() = peer   ◀─ tls_peer6      peer by cookie            ◀─ ::1, proxy
 *   close()                ─▶ tls_flow       forget both               ◀─ TCP_CLOSE
 *
 *   forward proxy (in its own cgroup)
 *
 *   accept()               ◀─ tls_accepted   both ends → cookie → peer ◀─ established
 *   getsockopt(SO_ORIGINAL_DST) = peer ◀─ tls_original                 ◀─ ENOPROTOOPT
 *
 * It runs behind identity.bpf.c, whose maps it shares: the source is the container's own by then, a service
 * one of those behind it, and a socket somebody's.
 */
#include "include/tls.h"
#include "include/tls_original.h"

static __always_inline bool listens(struct bpf_sock_addr *ctx, const struct end *proxy)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	bool found;

	if (is_ipv4(&proxy->address)) {
		tuple.ipv4.daddr = proxy->address.word[3];
		tuple.ipv4.dport = proxy->port;
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, &proxy->address, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.dport = proxy->port;
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	found = sk->state == BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return found;
}

static __always_inline int turn(struct bpf_sock_addr *ctx, __u32 family)
{
	const struct tls_policy *policy;
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct tls_flow flow = {};
	__u64 cookie;

	if (!sk)
		return REFUSE;
	if (ctx->protocol != IPPROTO_TCP || !claimed(me, sk))
		return ALLOW;
	cookie = bpf_get_socket_cookie(ctx);
	/* of a connect that failed before it had a port */
	tls_forget(cookie);
	load_end(&flow.original, ctx, family);
	policy = tls_policy_of(me, IPPROTO_TCP, &flow.original);
	if (!policy)
		return ALLOW;
	flow.cgroup = me->cgroup;
	flow.began = bpf_ktime_get_ns();
	flow.protocol = IPPROTO_TCP;
	flow.tuple.proxy = flow.original;
	set_loopback(&flow.tuple.proxy.address);
	flow.tuple.proxy.port = policy->proxy;
	if (policy->flags & TLS_FAIL_OPEN && !listens(ctx, &flow.tuple.proxy))
		return ALLOW;
	/* there is no room: what nobody could say the destination of would be refused by the proxy */
	if (bpf_map_update_elem(&tls_flows, &cookie, &flow, BPF_ANY))
		return policy->flags & TLS_FAIL_OPEN ? ALLOW : REFUSE;
	store_end(ctx, family, &flow.tuple.proxy);
	return ALLOW;
}

SEC("cgroup/connect6")
int tls_connect6(struct bpf_sock_addr *ctx)
{
	return turn(ctx, AF_INET6);
}

SEC("cgroup/connect4")
int tls_connect4(struct bpf_sock_addr *ctx)
{
	return turn(ctx, AF_INET);
}

static __always_inline int show_original(struct bpf_sock_addr *ctx, __u32 family)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tls_flow *flow = bpf_map_lookup_elem(&tls_flows, &cookie);
	struct end end;

	if (!flow)
		return ALLOW;
	load_end(&end, ctx, family);
	/* not what another program shows already: a service, where this is one of those behind it */
	if (same_end(&end, &flow->tuple.proxy))
		store_end(ctx, family, &flow->original);
	return ALLOW;
}

SEC("cgroup/getpeername6")
int tls_peer6(struct bpf_sock_addr *ctx)
{
	return show_original(ctx, AF_INET6);
}

SEC("cgroup/getpeername4")
int tls_peer4(struct bpf_sock_addr *ctx)
{
	return show_original(ctx, AF_INET);
}

/* Of a socket that never had a port: nothing else says that it goes. */
SEC("cgroup/sock_release")
int tls_release(struct bpf_sock *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tls_flow *flow = bpf_map_lookup_elem(&tls_flows, &cookie);

	if (flow && !flow->tuple.program.port)
		bpf_map_delete_elem(&tls_flows, &cookie);
	return ALLOW;
}

static __always_inline void load_ends(struct end *local, struct end *remote, const struct bpf_sock_ops *ctx)
{
	local->port = bpf_htons(ctx->local_port);
	remote->port = bpf_htons(bpf_ntohl(ctx->remote_port));
	if (ctx->family == AF_INET) {
		map_ipv4(&local->address, ctx->local_ip4);
		map_ipv4(&remote->address, ctx->remote_ip4);
		/* or clang loads the fields of both families by one address, which the verifier refuses */
		asm volatile("");
		return;
	}
	local->address.word[0] = ctx->local_ip6[0];
	local->address.word[1] = ctx->local_ip6[1];
	local->address.word[2] = ctx->local_ip6[2];
	local->address.word[3] = ctx->local_ip6[3];
	remote->address.word[0] = ctx->remote_ip6[0];
	remote->address.word[1] = ctx->remote_ip6[1];
	remote->address.word[2] = ctx->remote_ip6[2];
	remote->address.word[3] = ctx->remote_ip6[3];
}

/* Of the program's end. Before the SYN, since with TCP Fast Open that is when the proxy accepts. */
SEC("sockops")
int tls_flow(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct tls_tuple tuple = {};
	struct tls_flow *flow;

	if (ctx->op == BPF_SOCK_OPS_STATE_CB && ctx->args[1] == BPF_TCP_CLOSE)
		tls_forget(cookie);
	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return ALLOW;
	flow = bpf_map_lookup_elem(&tls_flows, &cookie);
	if (!flow)
		return ALLOW;
	load_ends(&tuple.program, &tuple.proxy, ctx);
	flow->tuple = tuple;
	bpf_map_update_elem(&tls_tuples, &tuple, &cookie, BPF_ANY);
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	return ALLOW;
}

/* Of the proxy's end, which keeps it: the program may be gone before the proxy asks. */
SEC("sockops")
int tls_accepted(struct bpf_sock_ops *ctx)
{
	struct tls_tuple tuple = {};
	struct tls_flow *flow;
	struct bpf_sock *sk;
	__u64 *cookie;

	if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return ALLOW;
	load_ends(&tuple.proxy, &tuple.program, ctx);
	cookie = bpf_map_lookup_elem(&tls_tuples, &tuple);
	flow = cookie ? bpf_map_lookup_elem(&tls_flows, cookie) : NULL;
	sk = ctx->sk;
	if (flow && sk)
		bpf_sk_storage_get(&tls_originals, sk, &flow->original, BPF_SK_STORAGE_GET_F_CREATE);
	return ALLOW;
}

/* As netfilter answers it of what it has redirected. */
SEC("cgroup/getsockopt")
int tls_original(struct bpf_sockopt *ctx)
{
	struct end *original;

	if (!asks_original(ctx) || !ctx->sk)
		return ALLOW;
	original = bpf_sk_storage_get(&tls_originals, ctx->sk, 0, 0);
	if (original)
		answer_original(ctx, original);
	return ALLOW;
}

char LICENSE[] SEC("license") = "GPL";
