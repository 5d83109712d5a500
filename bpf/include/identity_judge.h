/* What a container's program asks of the kernel: whether it may, and what it gets in its place. */
#ifndef PATHPROOF_IDENTITY_JUDGE_H
#define PATHPROOF_IDENTITY_JUDGE_H

#include "identity_socket.h"

/* Whether a socket may be made: only what the programs here can govern. Not so ICMP, whose bind and sendmsg
 * meet no program. */
static __always_inline bool may_be_made(const struct identity *me, const struct bpf_sock *sk)
{
	switch (sk->type) {
	case SOCK_STREAM:
		return sk->protocol == IPPROTO_TCP;
	case SOCK_DGRAM:
		if (sk->protocol == IPPROTO_UDP)
			return true;
		return me->flags & IDENTITY_RAW &&
		       (sk->protocol == IPPROTO_ICMP || sk->protocol == IPPROTO_ICMPV6);
	case SOCK_RAW:
		return me->flags & IDENTITY_RAW;
	default:
		return false;
	}
}

/* `end`: what was asked for, and then what it becomes. So it is of all that follow. */
static __always_inline int judge_bind(struct bpf_sock_addr *ctx, struct end *end)
{
	struct address *address = &end->address;
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
	/* the kernel refuses a second one */
	if (sk->src_port)
		return ALLOW;
	row->flags &= ~SOCKET_BOUND;
	if (is_shared(me, end, ctx->protocol)) {
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
	if (!may_bind(me, bpf_ntohs(end->port)))
		return refuse(FORBIDDEN_PORT);
	count(BINDS);
	return ALLOW;
}

/* The last word on a bind, whoever changed the address behind judge_bind. */
static __always_inline int judge_bound(struct bpf_sock *sk, __u32 family)
{
	struct identity *me = who();
	const struct address *own;
	struct end end;

	/* of a container within this one */
	if (!claimed(me, sk))
		return ALLOW;
	load_local(&end, sk, family);
	own = own_address(me, &end.address);
	if (own && same_address(&end.address, own))
		return ALLOW;
	return is_shared(me, &end, sk->protocol) ? ALLOW : refuse(FOREIGN_ADDRESS);
}

/* Where a container's program wants to, and where that is. MAY_GO, or why it may not. */
#define MAY_GO COUNTS

static __always_inline enum count translate(const struct identity *me, struct bpf_sock_addr *ctx,
					    struct end *end)
{
	struct share key = {.end = *end, .protocol = ctx->protocol};
	const struct service *service = bpf_map_lookup_elem(&services, &key);
	const struct address *own = own_address(me, &end->address);

	if (service) {
		__u64 client = service->flags & SERVICE_STICKY ? me->cgroup : bpf_get_socket_cookie(ctx);

		*end = *choose(service, client);
		count(SERVED);
		return MAY_GO;
	}
	if (is_unspecified(&end->address) || is_loopback(&end->address)) {
		if (!own)
			return NO_SUCH_FAMILY;
		end->address = *own;
		return MAY_GO;
	}
	/* beyond this host with no address that is known there */
	if (!own || (is_ipv4(&end->address) && me->flags & IDENTITY_IPV4_LOOPBACK))
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

static __always_inline int judge_connect(struct bpf_sock_addr *ctx, struct end *end)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct end asked = *end, local;
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
	why = translate(me, ctx, end);
	if (why != MAY_GO)
		return refuse(why);
	if (!same_end(&asked, end)) {
		row->peer = asked;
		row->flags |= SOCKET_CONNECTED;
	}
	own = own_address(me, &end->address);
	if (!own)
		return refuse(NO_SUCH_FAMILY);
	load_local(&local, sk, sk->family);
	if (!is_unspecified(&local.address)) {
		if (!same_address(&local.address, own) && !is_shared(me, &local, ctx->protocol))
			return refuse(FOREIGN_ADDRESS);
	} else if (local.port)
		/* by datagrams that it sent, or before its cgroup was a container: no program can bind it now
		 */
		return refuse(BOUND_BEFORE);
	else if (bind_own(ctx, own))
		return refuse(ADDRESS_GONE);
	count(CONNECTS);
	return ALLOW;
}

/* So that the answer to a datagram comes from where its program sent it to. */
static __always_inline void remember_answer(struct bpf_sock *sk, const struct end *from,
					    const struct end *asked)
{
	struct answers *rows = bpf_sk_storage_get(&answers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct answer *row;

	if (!rows)
		return;
#pragma unroll
	for (int i = 0; i < MAX_ANSWERS; i++) {
		row = &rows->answer[i];
		if (same_end(&row->from, from))
			goto found;
	}
	row = &rows->answer[rows->next++ & (MAX_ANSWERS - 1)];
	row->from = *from;
found:
	row->asked = *asked;
}

/* A datagram of a socket that is not connected, or that names its own destination or source. */
static __always_inline int judge_datagram(struct bpf_sock_addr *ctx, struct end *end, struct address *source)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	struct end asked = *end;
	const struct address *own;
	struct socket *row;
	enum count why;
	int verdict;

	if (!sk)
		return REFUSE;
	row = claim(me, sk, &verdict);
	if (!row)
		return verdict;
	why = translate(me, ctx, end);
	if (why != MAY_GO)
		return refuse(why);
	own = own_address(me, &end->address);
	if (!own)
		return refuse(NO_SUCH_FAMILY);
	if (is_unspecified(source) || is_loopback(source))
		*source = *own;
	else if (!same_address(source, own)) {
		struct end from = {.address = *source, .port = bpf_htons(sk->src_port)};

		if (!is_shared(me, &from, ctx->protocol))
			return refuse(FOREIGN_ADDRESS);
	}
	if (!same_end(&asked, end))
		remember_answer(sk, end, &asked);
	count(DATAGRAMS);
	return ALLOW;
}

#endif
