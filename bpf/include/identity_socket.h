/* Whose a socket is, and how a hook of either family says what its program named. */
#ifndef PATHPROOF_IDENTITY_SOCKET_H
#define PATHPROOF_IDENTITY_SOCKET_H

#include "identity.h"

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

/* `family` is the hook's, and known to the compiler: the other one's fields are not its to touch. */
static __always_inline void load_end(struct end *to, const struct bpf_sock_addr *ctx, __u32 family)
{
	__u16 port = ctx->user_port;

	to->port = port;
	if (family == AF_INET) {
		map_ipv4(&to->address, ctx->user_ip4);
		return;
	}
	to->address.word[0] = ctx->user_ip6[0];
	to->address.word[1] = ctx->user_ip6[1];
	to->address.word[2] = ctx->user_ip6[2];
	to->address.word[3] = ctx->user_ip6[3];
}

static __always_inline void store_end(struct bpf_sock_addr *ctx, __u32 family, const struct end *from)
{
	ctx->user_port = from->port;
	if (family == AF_INET) {
		ctx->user_ip4 = from->address.word[3];
		return;
	}
	ctx->user_ip6[0] = from->address.word[0];
	ctx->user_ip6[1] = from->address.word[1];
	ctx->user_ip6[2] = from->address.word[2];
	ctx->user_ip6[3] = from->address.word[3];
}

/* The source of a datagram: what its socket is bound to, or its program told beside it. */
static __always_inline void load_source(struct address *to, const struct bpf_sock_addr *ctx, __u32 family)
{
	if (family == AF_INET) {
		map_ipv4(to, ctx->msg_src_ip4);
		return;
	}
	to->word[0] = ctx->msg_src_ip6[0];
	to->word[1] = ctx->msg_src_ip6[1];
	to->word[2] = ctx->msg_src_ip6[2];
	to->word[3] = ctx->msg_src_ip6[3];
}

static __always_inline void store_source(struct bpf_sock_addr *ctx, __u32 family, const struct address *from)
{
	if (family == AF_INET) {
		ctx->msg_src_ip4 = from->word[3];
		return;
	}
	ctx->msg_src_ip6[0] = from->word[0];
	ctx->msg_src_ip6[1] = from->word[1];
	ctx->msg_src_ip6[2] = from->word[2];
	ctx->msg_src_ip6[3] = from->word[3];
}

/* Where a socket is bound to. */
static __always_inline void load_local(struct end *to, const struct bpf_sock *sk, __u32 family)
{
	to->port = bpf_htons(sk->src_port);
	if (family == AF_INET) {
		map_ipv4(&to->address, sk->src_ip4);
		return;
	}
	to->address.word[0] = sk->src_ip6[0];
	to->address.word[1] = sk->src_ip6[1];
	to->address.word[2] = sk->src_ip6[2];
	to->address.word[3] = sk->src_ip6[3];
}

#endif
