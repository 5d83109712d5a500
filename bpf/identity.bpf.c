/*
 * An address for each container of a shared netns: what a program asks of its socket, and what it gets.
 *
 *   program (in the cgroup)         here                                   the kernel
 *
 *   bind(::, 80)         ─▶ bind6      its own address                ─▶ bind(2001:db8::10, 80)
 *   connect(peer, 443)   ─▶ connect6   bpf_bind: its own, any port    ─▶ connect, port chosen late
 *   connect(::1, 80)     ─▶ connect6   its own address is meant       ─▶ connect(2001:db8::10, 80)
 *   connect(service, 80) ─▶ connect6   one of those behind it         ─▶ connect(2001:db8::11, 8080)
 *   sendto(peer, 53)     ─▶ sendmsg6   msg_src: its own               ─▶ the datagram's source
 *   recvfrom() = ::1     ◀─ recvmsg6   what it had sent to            ◀─ from 2001:db8::10
 *   getpeername() = ::1  ◀─ getpeername6                              ◀─ 2001:db8::10
 *   listen, accept, read, write: nothing of ours; no packet meets a program (but one that is asked for:
 *   local_only)
 *
 * The hooks are of the cgroup that a socket was made in: it keeps its container wherever it is passed to, and
 * whoever moves to another cgroup. What they do not see:
 *
 *   - packet sockets, which are no IP sockets (they need CAP_NET_RAW of the host's netns, and so do raw ones,
 *     which are refused here)
 *   - the source of a ping socket that is not connected, and before 6.1 of one that is
 *   - listen() without bind(): the kernel binds to the wildcard and a port of its choice
 *   - where a UDP socket that only sent hears: at its port of every address of the host
 */
#include "include/identity.h"

/* Of the cgroup that this program hangs on: there always is one, filled before the first program that asks.
 */
static __always_inline struct identity *who(void)
{
	return bpf_get_local_storage(&identities, 0);
}

/*
 * The row of a socket; NULL: it is another container's, within this one, whose own program ran before. The
 * first that sees a socket is the innermost. `verdict` is the last word where there is no row.
 */
static __always_inline struct socket *claim(struct identity *me, struct bpf_sock *sk, int *verdict)
{
	struct socket *row;

	*verdict = REFUSE;
	if (!me->cgroup) {
		count(NOT_READY);
		return NULL;
	}
	row = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!row)
		return NULL;
	if (!row->owner)
		row->owner = me->cgroup;
	if (row->owner == me->cgroup)
		return row;
	*verdict = ALLOW;
	return NULL;
}

/* The same for what only looks. */
static __always_inline struct socket *claimed(const struct identity *me, struct bpf_sock *sk)
{
	struct socket *row = bpf_sk_storage_get(&sockets, sk, 0, 0);

	return row && row->owner == me->cgroup ? row : NULL;
}

static __always_inline void load6(struct address *to, struct bpf_sock_addr *ctx)
{
	to->word[0] = ctx->user_ip6[0];
	to->word[1] = ctx->user_ip6[1];
	to->word[2] = ctx->user_ip6[2];
	to->word[3] = ctx->user_ip6[3];
}

static __always_inline void store6(struct bpf_sock_addr *ctx, const struct address *from)
{
	ctx->user_ip6[0] = from->word[0];
	ctx->user_ip6[1] = from->word[1];
	ctx->user_ip6[2] = from->word[2];
	ctx->user_ip6[3] = from->word[3];
}

/* Where a socket is bound to. */
static __always_inline void load_local(struct address *to, struct bpf_sock *sk)
{
	if (sk->family == AF_INET) {
		map_ipv4(to, sk->src_ip4);
		return;
	}
	to->word[0] = sk->src_ip6[0];
	to->word[1] = sk->src_ip6[1];
	to->word[2] = sk->src_ip6[2];
	to->word[3] = sk->src_ip6[3];
}

/* `address`: what was asked for, and then what it becomes. */
static __always_inline int govern_bind(struct bpf_sock_addr *ctx, struct address *address)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	const struct address *own;
	struct socket *row;
	int verdict;

	if (!sk)
		return REFUSE;
	row = claim(me, sk, &verdict);
	if (!row)
		return verdict;
	row->flags &= ~SOCKET_BOUND;
	if (is_shared(me, address, ctx->user_port, ctx->protocol)) {
		count(BINDS);
		return ALLOW;
	}
	own = own_address(me, address);
	if (!own)
		return refuse(NO_SUCH_FAMILY);
	if (is_unspecified(address) || is_loopback(address)) {
		row->local = *address;
		row->flags |= SOCKET_BOUND;
		*address = *own;
	} else if (!same_address(address, own))
		return refuse(FOREIGN_ADDRESS);
	if (!may_bind(me, bpf_ntohs(ctx->user_port)))
		return refuse(FORBIDDEN_PORT);
	count(BINDS);
	return ALLOW;
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	struct address address;
	int verdict;

	load6(&address, ctx);
	verdict = govern_bind(ctx, &address);
	if (verdict == ALLOW)
		store6(ctx, &address);
	return verdict;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	struct address address;
	int verdict;

	map_ipv4(&address, ctx->user_ip4);
	verdict = govern_bind(ctx, &address);
	if (verdict == ALLOW)
		ctx->user_ip4 = address.word[3];
	return verdict;
}

/* The last word on a bind, whoever changed the address behind the programs above. */
static __always_inline int judge_bound(struct bpf_sock *sk, const struct address *address)
{
	struct identity *me = who();
	const struct address *own = own_address(me, address);

	/* of a container within this one */
	if (!claimed(me, sk))
		return ALLOW;
	if (own && same_address(address, own))
		return ALLOW;
	return is_shared(me, address, bpf_htons(sk->src_port), sk->protocol) ? ALLOW
									     : refuse(FOREIGN_ADDRESS);
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *ctx)
{
	struct address address = {{ctx->src_ip6[0], ctx->src_ip6[1], ctx->src_ip6[2], ctx->src_ip6[3]}};

	return judge_bound(ctx, &address);
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *ctx)
{
	struct address address;

	map_ipv4(&address, ctx->src_ip4);
	return judge_bound(ctx, &address);
}

/* Where a container's program wants to, and where that is. MAY_GO, or why it may not. */
#define MAY_GO COUNTS

static __always_inline enum count translate(const struct identity *me, struct bpf_sock_addr *ctx,
					    struct address *address, __u16 *port)
{
	struct share key = {.address = *address, .port = *port, .protocol = ctx->protocol};
	const struct service *service = bpf_map_lookup_elem(&services, &key);
	const struct address *own = own_address(me, address);

	if (service) {
		__u64 client = service->flags & SERVICE_STICKY ? me->cgroup : bpf_get_socket_cookie(ctx);
		const struct backend *backend = choose(service, client);

		*address = backend->address;
		*port = backend->port;
		count(SERVED);
		return MAY_GO;
	}
	if (is_unspecified(address) || is_loopback(address)) {
		if (!own)
			return NO_SUCH_FAMILY;
		*address = *own;
		return MAY_GO;
	}
	/* beyond this host with no address that is known there */
	if (!own || (is_ipv4(address) && me->flags & IDENTITY_IPV4_LOOPBACK))
		return NO_SUCH_FAMILY;
	return MAY_GO;
}

/* No initializers: clang would keep them in a section that has no variables, whose BTF 5.10 refuses. */
static __always_inline long bind_own(struct bpf_sock_addr *ctx, const struct address *own)
{
	struct sockaddr_in6 to6;
	struct sockaddr_in to4;

	/* without a port, which the kernel then chooses by where the connection goes to (5.8, 8086fbaf4902)
	 */
	if (ctx->family == AF_INET) {
		__builtin_memset(&to4, 0, sizeof(to4));
		to4.sin_family = AF_INET;
		to4.sin_addr.s_addr = own->word[3];
		return bpf_bind(ctx, (struct sockaddr *)&to4, sizeof(to4));
	}
	__builtin_memset(&to6, 0, sizeof(to6));
	to6.sin6_family = AF_INET6;
	__builtin_memcpy(&to6.sin6_addr, own, sizeof(to6.sin6_addr));
	return bpf_bind(ctx, (struct sockaddr *)&to6, sizeof(to6));
}

static __always_inline int govern_connect(struct bpf_sock_addr *ctx, struct address *address, __u16 *to_port)
{
	__u16 asked_port = *to_port;
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct address asked = *address, local;
	const struct address *own;
	struct socket *row;
	enum count why;
	int verdict;

	if (!sk)
		return REFUSE;
	row = claim(me, sk, &verdict);
	if (!row)
		return verdict;
	/* an IPv4 address given to an IPv6 socket, which some kernels take: it has no address to bind to */
	if (sk->family != ctx->user_family)
		return refuse(NO_SUCH_FAMILY);
	row->flags &= ~SOCKET_CONNECTED;
	why = translate(me, ctx, address, to_port);
	if (why != MAY_GO)
		return refuse(why);
	if (*to_port != asked_port || !same_address(&asked, address)) {
		row->peer = asked;
		row->peer_port = asked_port;
		row->flags |= SOCKET_CONNECTED;
	}
	own = own_address(me, address);
	if (!own)
		return refuse(NO_SUCH_FAMILY);
	load_local(&local, sk);
	if (!is_unspecified(&local)) {
		__u16 port = bpf_htons(sk->src_port);

		if (!same_address(&local, own) && !is_shared(me, &local, port, ctx->protocol))
			return refuse(FOREIGN_ADDRESS);
	} else if (sk->src_port)
		/* by datagrams that it sent, or before its cgroup was a container: no program can bind it now
		 */
		return refuse(BOUND_BEFORE);
	else if (bind_own(ctx, own))
		return refuse(ADDRESS_GONE);
	count(CONNECTS);
	return ALLOW;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	__u16 port = ctx->user_port;
	struct address address;
	int verdict;

	load6(&address, ctx);
	verdict = govern_connect(ctx, &address, &port);
	if (verdict != ALLOW)
		return verdict;
	store6(ctx, &address);
	ctx->user_port = port;
	return ALLOW;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	__u16 port = ctx->user_port;
	struct address address;
	int verdict;

	map_ipv4(&address, ctx->user_ip4);
	verdict = govern_connect(ctx, &address, &port);
	if (verdict != ALLOW)
		return verdict;
	ctx->user_ip4 = address.word[3];
	ctx->user_port = port;
	return ALLOW;
}

/* So that the answer to a datagram comes from where its program sent it to. */
static __always_inline void remember_answer(struct bpf_sock *sk, const struct address *from, __u16 from_port,
					    const struct address *asked, __u16 asked_port)
{
	struct answers *rows = bpf_sk_storage_get(&answers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct answer *row;

	if (!rows)
		return;
#pragma unroll
	for (int i = 0; i < MAX_ANSWERS; i++) {
		row = &rows->answer[i];
		if (row->from_port == from_port && same_address(&row->from, from))
			goto found;
	}
	row = &rows->answer[rows->next++ & (MAX_ANSWERS - 1)];
	row->from = *from;
	row->from_port = from_port;
found:
	row->asked = *asked;
	row->asked_port = asked_port;
}

/* A datagram of a socket that is not connected, or that names its own destination or source. `source`: what
 * the socket is bound to, or its program told beside the datagram. */
static __always_inline int govern_send(struct bpf_sock_addr *ctx, struct address *address, __u16 *to_port,
				       struct address *source)
{
	__u16 asked_port = *to_port;
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct address asked = *address;
	const struct address *own;
	struct socket *row;
	enum count why;
	int verdict;

	if (!sk)
		return REFUSE;
	row = claim(me, sk, &verdict);
	if (!row)
		return verdict;
	why = translate(me, ctx, address, to_port);
	if (why != MAY_GO)
		return refuse(why);
	own = own_address(me, address);
	if (!own)
		return refuse(NO_SUCH_FAMILY);
	if (is_unspecified(source) || is_loopback(source))
		*source = *own;
	else if (!same_address(source, own) && !is_shared(me, source, bpf_htons(sk->src_port), ctx->protocol))
		return refuse(FOREIGN_ADDRESS);
	if (*to_port != asked_port || !same_address(&asked, address))
		remember_answer(sk, address, *to_port, &asked, asked_port);
	count(DATAGRAMS);
	return ALLOW;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	__u16 port = ctx->user_port;
	struct address address, source;
	int verdict;

	load6(&address, ctx);
	source.word[0] = ctx->msg_src_ip6[0];
	source.word[1] = ctx->msg_src_ip6[1];
	source.word[2] = ctx->msg_src_ip6[2];
	source.word[3] = ctx->msg_src_ip6[3];
	verdict = govern_send(ctx, &address, &port, &source);
	if (verdict != ALLOW)
		return verdict;
	store6(ctx, &address);
	ctx->msg_src_ip6[0] = source.word[0];
	ctx->msg_src_ip6[1] = source.word[1];
	ctx->msg_src_ip6[2] = source.word[2];
	ctx->msg_src_ip6[3] = source.word[3];
	ctx->user_port = port;
	return ALLOW;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	__u16 port = ctx->user_port;
	struct address address, source;
	int verdict;

	map_ipv4(&address, ctx->user_ip4);
	map_ipv4(&source, ctx->msg_src_ip4);
	verdict = govern_send(ctx, &address, &port, &source);
	if (verdict != ALLOW)
		return verdict;
	ctx->user_ip4 = address.word[3];
	ctx->msg_src_ip4 = source.word[3];
	ctx->user_port = port;
	return ALLOW;
}

/* To a socket that is bound to a loopback address, or was accepted by one that is, its own container is there
 * too. */
static __always_inline bool shown_loopback(const struct identity *me, const struct socket *row,
					   struct address *address)
{
	const struct address *own = own_address(me, address);

	if (!(row->flags & SOCKET_BOUND) || !is_loopback(&row->local) || !own || !same_address(address, own))
		return false;
	set_loopback(address);
	return true;
}

/* Whom a program takes a datagram to be from. */
static __always_inline bool shown_sender(struct bpf_sock_addr *ctx, struct address *address, __u16 *port)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct answers *rows;
	struct socket *row;

	if (!sk)
		return false;
	row = claimed(me, sk);
	if (!row)
		return false;
	if (row->flags & SOCKET_CONNECTED) {
		*address = row->peer;
		*port = row->peer_port;
		return true;
	}
	rows = bpf_sk_storage_get(&answers, sk, 0, 0);
	if (rows) {
#pragma unroll
		for (int i = 0; i < MAX_ANSWERS; i++) {
			struct answer *one = &rows->answer[i];

			if (one->from_port == *port && same_address(&one->from, address)) {
				*address = one->asked;
				*port = one->asked_port;
				return true;
			}
		}
	}
	return shown_loopback(me, row, address);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	struct address address;
	__u16 port = ctx->user_port;

	load6(&address, ctx);
	if (shown_sender(ctx, &address, &port)) {
		store6(ctx, &address);
		ctx->user_port = port;
	}
	return ALLOW;
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	struct address address;
	__u16 port = ctx->user_port;

	map_ipv4(&address, ctx->user_ip4);
	if (shown_sender(ctx, &address, &port)) {
		ctx->user_ip4 = address.word[3];
		ctx->user_port = port;
	}
	return ALLOW;
}

/* What a program takes its socket to be connected to. */
static __always_inline bool shown_peer(struct bpf_sock_addr *ctx, struct address *address, __u16 *port)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct socket *row;

	if (!sk)
		return false;
	row = claimed(me, sk);
	if (!row)
		return false;
	if (row->flags & SOCKET_CONNECTED) {
		*address = row->peer;
		*port = row->peer_port;
		return true;
	}
	return shown_loopback(me, row, address);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	struct address address;
	__u16 port = ctx->user_port;

	load6(&address, ctx);
	if (shown_peer(ctx, &address, &port)) {
		store6(ctx, &address);
		ctx->user_port = port;
	}
	return ALLOW;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	struct address address;
	__u16 port = ctx->user_port;

	map_ipv4(&address, ctx->user_ip4);
	if (shown_peer(ctx, &address, &port)) {
		ctx->user_ip4 = address.word[3];
		ctx->user_port = port;
	}
	return ALLOW;
}

/* What a program takes its socket to be bound to. */
static __always_inline bool shown_local(struct bpf_sock_addr *ctx, struct address *address)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	const struct address *own = own_address(me, address);
	struct socket *row;

	if (!sk || !own || !same_address(address, own))
		return false;
	row = claimed(me, sk);
	if (!row)
		return false;
	/* a wildcard is shown until the socket is connected, as everywhere */
	if (row->flags & SOCKET_BOUND && (is_loopback(&row->local) || !sk->dst_port)) {
		*address = row->local;
		return true;
	}
	if (row->flags & SOCKET_CONNECTED && is_loopback(&row->peer)) {
		set_loopback(address);
		return true;
	}
	return false;
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr *ctx)
{
	struct address address;

	load6(&address, ctx);
	if (shown_local(ctx, &address))
		store6(ctx, &address);
	return ALLOW;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	struct address address;

	map_ipv4(&address, ctx->user_ip4);
	if (shown_local(ctx, &address))
		ctx->user_ip4 = address.word[3];
	return ALLOW;
}

/* Only what the programs above can govern. */
static __always_inline bool is_governed(struct bpf_sock *sk)
{
	if (sk->type == SOCK_STREAM)
		return sk->protocol == IPPROTO_TCP;
	return sk->type == SOCK_DGRAM && (sk->protocol == IPPROTO_UDP || sk->protocol == IPPROTO_ICMP ||
					  sk->protocol == IPPROTO_ICMPV6);
}

SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *ctx)
{
	struct identity *me = who();
	struct socket *row;
	int verdict;

	row = claim(me, ctx, &verdict);
	if (!row)
		return verdict;
	if (!is_governed(ctx) && !(ctx->type == SOCK_RAW && me->flags & IDENTITY_RAW))
		return refuse(FORBIDDEN_PROTOCOL);
	row->cookie = bpf_get_socket_cookie(ctx);
	count(SOCKETS);
	return ALLOW;
}

/* Judges nothing: the first that is attached, whose link makes the cgroup's row. */
SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *ctx)
{
	struct socket *row = claimed(who(), ctx);

	if (row && row->cookie == bpf_get_socket_cookie(ctx))
		count(RELEASED);
	return ALLOW;
}

/*
 * What comes for a socket that is bound to a loopback address comes from its container alone. Attached where
 * that is asked for: of each packet that any socket of the container receives, it is asked.
 */
SEC("cgroup_skb/ingress")
int local_only(struct __sk_buff *skb)
{
	struct identity *me = who();
	const struct address *own;
	struct address source;
	struct socket *row;

	if (!skb->sk)
		return ALLOW;
	row = bpf_sk_storage_get(&sockets, skb->sk, 0, 0);
	if (!row || row->owner != me->cgroup || !(row->flags & SOCKET_BOUND) || !is_loopback(&row->local))
		return ALLOW;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__be32 word;

		if (bpf_skb_load_bytes(skb, offsetof(struct ipv4_header, source), &word, sizeof(word)))
			return refuse(EXPOSED);
		map_ipv4(&source, word);
	} else if (bpf_skb_load_bytes(skb, offsetof(struct ipv6_header, source), &source, sizeof(source)))
		return refuse(EXPOSED);
	own = own_address(me, &source);
	return own && same_address(&source, own) ? ALLOW : refuse(EXPOSED);
}

/* A connection is counted as it begins, and what it carried as it ends: what it sends meets nobody. */
SEC("sockops")
int flows(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!sk || !claimed(who(), sk))
		return ALLOW;
	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		count(FLOWS_OUT);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		count(FLOWS_IN);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE) {
			count_many(BYTES_SENT, ctx->bytes_acked);
			count_many(BYTES_RECEIVED, ctx->bytes_received);
		}
		return ALLOW;
	default:
		return ALLOW;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	return ALLOW;
}

char LICENSE[] SEC("license") = "GPL";
