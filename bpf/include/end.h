/* One end of a flow: an address of either family, and a port. */
#ifndef PATHPROOF_END_H
#define PATHPROOF_END_H

#include "packet.h"

/* What a program names in a call, or a packet has: its own end of a flow, or the other one. */
struct end {
	struct address address;
	/* network byte order */
	__u32 port;
};

static __always_inline bool is_ipv4(const struct address *address)
{
	return !address->word[0] && !address->word[1] && address->word[2] == bpf_htonl(0xffff);
}

static __always_inline bool same_end(const struct end *a, const struct end *b)
{
	return a->port == b->port && same_address(&a->address, &b->address);
}

#endif
