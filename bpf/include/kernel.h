/* The few fields of the kernel's own structures that are read here; their offsets are the running kernel's
 * (CO-RE). */
#ifndef PATHPROOF_KERNEL_H
#define PATHPROOF_KERNEL_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	/* of ipvlan's slaves: theirs alone among those of one master */
	unsigned short dev_id;
	possible_net_t nd_net;
	const unsigned char *dev_addr;
};

/* of the module ipvlan: an uplink */
struct ipvl_port {
	__u16 mode;
};

/* what netdev_priv() answers of a slave */
struct ipvl_dev {
	struct net_device *phy_dev;
	struct ipvl_port *port;
};

struct sock_common {
	unsigned short skc_family;
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
};

/* what a program of getsockopt is given */
struct bpf_sockopt_kern {
	struct sock *sk;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	__u32 mark;
	__be16 protocol;
	__u16 network_header;
	/* 0 until a device has received it */
	int skb_iif;
	/* an offset from `head` on 64-bit kernels (NET_SKBUFF_DATA_USES_OFFSET) */
	__u32 tail;
	/* set while ingress runs, clear while egress does: since 4.11 (8dc07fdbf2c0) */
	__u8 tc_at_ingress : 1;
	unsigned char *head;
	unsigned char *data;
};

struct xdp_rxq_info {
	struct net_device *dev;
};

struct xdp_buff {
	void *data;
	void *data_end;
	void *data_hard_start;
	struct xdp_rxq_info *rxq;
};

struct nf_hook_state {
	/* an unsigned int before 5.12: its first byte is the same */
	__u8 hook;
	__u8 pf;
	struct net_device *out;
	struct net *net;
};

/* what a netfilter program is given, since 6.4 (fd9c663b9ad6) */
struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

struct nf_hook_ops {
	int priority;
};

struct nf_hook_entry {
	void *hook;
	void *priv;
};

/* behind the hooks, as many pointers to their struct nf_hook_ops */
struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[];
};

struct neighbour {
	struct net_device *dev;
	__u8 nud_state;
};

/* since 5.17 (c504e5c2f964): kfree_skb says why */
enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED,
};

#pragma clang attribute pop

#endif
