/* What a container's program is shown of its sockets in the place of what is there: the ends that it named.
 */
#ifndef PATHPROOF_IDENTITY_SHOW_H
#define PATHPROOF_IDENTITY_SHOW_H

#include "identity_socket.h"

/* To a socket that is bound to a loopback address, or was accepted by one that is, its own container is there
 * too. */
static __always_inline bool show_loopback(const struct identity *me, const struct socket *row,
					  struct address *address)
{
	const struct address *own = own_address(me, address);

	if (!(row->flags & SOCKET_BOUND) || !is_loopback(&row->local) || !own || !same_address(address, own))
		return false;
	set_loopback(address);
	return true;
}

/* Whom a program takes a datagram to be from. `end`: who it is, and then who is shown. So it is of all that
 * follow. */
static __always_inline bool show_sender(struct bpf_sock_addr *ctx, struct end *end)
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
	/* one that has no peer any more hears from everybody */
	if (row->flags & SOCKET_CONNECTED && sk->dst_port) {
		*end = row->peer;
		return true;
	}
	rows = bpf_sk_storage_get(&answers, sk, 0, 0);
	if (rows) {
#pragma unroll
		for (int i = 0; i < MAX_ANSWERS; i++) {
			struct answer *one = &rows->answer[i];

			if (same_end(&one->from, end)) {
				*end = one->asked;
				return true;
			}
		}
	}
	return show_loopback(me, row, &end->address);
}

/* What a program takes its socket to be connected to. */
static __always_inline bool show_peer(struct bpf_sock_addr *ctx, struct end *end)
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
		*end = row->peer;
		return true;
	}
	return show_loopback(me, row, &end->address);
}

/* What a program takes its socket to be bound to. */
static __always_inline bool show_local(struct bpf_sock_addr *ctx, struct end *end)
{
	struct identity *me = who();
	struct bpf_sock *sk = ctx->sk;
	const struct address *own = own_address(me, &end->address);
	struct socket *row;

	if (!sk || !own || !same_address(&end->address, own))
		return false;
	row = claimed(me, sk);
	if (!row)
		return false;
	/* a wildcard is shown until the socket is connected, as everywhere */
	if (row->flags & SOCKET_BOUND && (is_loopback(&row->local) || !sk->dst_port)) {
		end->address = row->local;
		return true;
	}
	if (row->flags & SOCKET_CONNECTED && sk->dst_port && is_loopback(&row->peer.address)) {
		set_loopback(&end->address);
		return true;
	}
	return false;
}

#endif
