/* What a container's sockets carry. */
#ifndef PATHPROOF_IDENTITY_COUNT_H
#define PATHPROOF_IDENTITY_COUNT_H

#include "identity_socket.h"

/* A connection is counted as it begins, and what it carried as it ends: what it sends meets nobody. */
static __always_inline void count_flow(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct socket *row;

	if (!sk)
		return;
	row = claimed(who(), sk);
	if (!row)
		return;
	switch (ctx->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		count(FLOWS_OUT);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		count(FLOWS_IN);
		break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		/* who had failed to connect before: those that it accepts have copies of this */
		row->flags &= ~SOCKET_CONNECTED;
		return;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE) {
			count_many(BYTES_SENT, ctx->bytes_acked);
			count_many(BYTES_RECEIVED, ctx->bytes_received);
		}
		return;
	default:
		return;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

#define UDP_HEADER 8

/*
 * The kernel counts no bytes of a UDP socket, and tells no hook of a call how many there are. Here a datagram
 * is whole: not yet in fragments or segments, or no more. IPv6's extension headers count as what it carries.
 */
static __always_inline void count_udp(struct __sk_buff *skb, enum count what)
{
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;
	__u32 headers = sizeof(struct ipv6_header) + UDP_HEADER;
	__u8 first;

	if (!sk || sk->protocol != IPPROTO_UDP || !claimed(who(), sk))
		return;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, &first, sizeof(first)))
			return;
		headers = (first & 0xf) * 4 + UDP_HEADER;
	}
	if (skb->len > headers)
		count_many(what, skb->len - headers);
}

#endif
