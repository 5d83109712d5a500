/* How getsockopt(SO_ORIGINAL_DST) is asked and answered: as netfilter does of what it has redirected. */
#ifndef PATHPROOF_TLS_ORIGINAL_H
#define PATHPROOF_TLS_ORIGINAL_H

#include <linux/in.h>
#include <linux/in6.h>
#include "end.h"

/* linux/socket.h, linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h, which are not for programs */
#define SOL_IP 0
#define SOL_IPV6 41
#define SO_ORIGINAL_DST 80
#define IP6T_SO_ORIGINAL_DST 80

static __always_inline bool asks_original(const struct bpf_sockopt *ctx)
{
	return (ctx->level == SOL_IPV6 && ctx->optname == IP6T_SO_ORIGINAL_DST) ||
	       (ctx->level == SOL_IP && ctx->optname == SO_ORIGINAL_DST);
}

/* Where it was asked of the other family, or into too little room, the kernel's own answer stays. */
static __always_inline void answer_original(struct bpf_sockopt *ctx, const struct end *original)
{
	struct sockaddr_in6 *to6 = ctx->optval;
	struct sockaddr_in *to4 = ctx->optval;

	if (is_ipv4(&original->address) != (ctx->level == SOL_IP))
		return;
	if (ctx->level == SOL_IP) {
		if ((void *)(to4 + 1) > ctx->optval_end)
			return;
		__builtin_memset(to4, 0, sizeof(*to4));
		to4->sin_family = AF_INET;
		to4->sin_port = original->port;
		to4->sin_addr.s_addr = original->address.word[3];
		ctx->optlen = sizeof(*to4);
	} else {
		if ((void *)(to6 + 1) > ctx->optval_end)
			return;
		__builtin_memset(to6, 0, sizeof(*to6));
		to6->sin6_family = AF_INET6;
		to6->sin6_port = original->port;
		__builtin_memcpy(&to6->sin6_addr, &original->address, sizeof(original->address));
		ctx->optlen = sizeof(*to6);
	}
	ctx->retval = 0;
}

#endif
