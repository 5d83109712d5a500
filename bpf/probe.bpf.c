/*
 * What a kernel can do with a helper's flag it says only when a program runs: each of these is run once, on
 * no packet of anybody's, and answers the kernel's verdict. Attached nowhere.
 */
#include "include/packet.h"

/* TC_ACT_REDIRECT where the kernel knows BPF_F_EGRESS (7.3), TC_ACT_SHOT where it knows no flags */
SEC("tc")
int peer_egress(struct __sk_buff *skb)
{
	return bpf_redirect_peer(1, 1ULL << 1);
}

char LICENSE[] SEC("license") = "GPL";
