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
 *     which are refused here, as those of ICMP are)
 *   - listen() without bind(): the kernel binds to the wildcard and a port of its choice (not the program's:
 *     own_range)
 *   - where a UDP socket that only sent hears: at its port of every address of the host
 *   - what was connected, listened or was raw before its cgroup was a container
 *   - sockets of other families for which the kernel itself opens IP sockets
 *   - another netns, below the container's cgroup: there its addresses are nobody's, and are refused
 *   - in a container within another one, once that is gone, the sockets that it has left
 * A wildcard of both families becomes the IPv6 address alone: a socket is bound to one.
 */
#include "include/identity_count.h"
#include "include/identity_judge.h"
#include "include/identity_show.h"

typedef int (*judge)(struct bpf_sock_addr *, struct end *);
typedef bool (*show)(struct bpf_sock_addr *, struct end *);

/* What was asked becomes what is granted. */
static __always_inline int judge_call(struct bpf_sock_addr *ctx, __u32 family, judge judge)
{
	struct end end;
	int verdict;

	load_end(&end, ctx, family);
	verdict = judge(ctx, &end);
	if (verdict == ALLOW)
		store_end(ctx, family, &end);
	return verdict;
}

static __always_inline int judge_sendmsg(struct bpf_sock_addr *ctx, __u32 family)
{
	struct address source;
	struct end end;
	int verdict;

	load_end(&end, ctx, family);
	load_source(&source, ctx, family);
	verdict = judge_datagram(ctx, &end, &source);
	if (verdict == ALLOW) {
		store_end(ctx, family, &end);
		store_source(ctx, family, &source);
	}
	return verdict;
}

/* What is there becomes what is shown. */
static __always_inline int show_end(struct bpf_sock_addr *ctx, __u32 family, show show)
{
	struct end end;

	load_end(&end, ctx, family);
	if (show(ctx, &end))
		store_end(ctx, family, &end);
	return ALLOW;
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, AF_INET6, judge_bind);
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, AF_INET, judge_bind);
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *ctx)
{
	return judge_bound(ctx, AF_INET6);
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *ctx)
{
	return judge_bound(ctx, AF_INET);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, AF_INET6, judge_connect);
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return judge_call(ctx, AF_INET, judge_connect);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return judge_sendmsg(ctx, AF_INET6);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return judge_sendmsg(ctx, AF_INET);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	return show_end(ctx, AF_INET6, show_sender);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	return show_end(ctx, AF_INET, show_sender);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return show_end(ctx, AF_INET6, show_peer);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return show_end(ctx, AF_INET, show_peer);
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr *ctx)
{
	return show_end(ctx, AF_INET6, show_local);
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	return show_end(ctx, AF_INET, show_local);
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
	if (!may_be_made(me, ctx))
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

/* linux/socket.h and linux/in.h, since 6.3 (91d0b78c5177) */
#define SOL_IP 0
#define IP_LOCAL_PORT_RANGE 51

/* By a range of one port a program would choose it where nobody asks: in listen() and in bind() to port 0. */
SEC("cgroup/setsockopt")
int own_range(struct bpf_sockopt *ctx)
{
	if (ctx->level == SOL_IP && ctx->optname == IP_LOCAL_PORT_RANGE)
		return refuse(FORBIDDEN_PORT);
	/* the value is the program's own, however long: here is but its first page */
	ctx->optlen = 0;
	return ALLOW;
}

/* include/net/net_namespace.h: lo, in every netns */
#define LOOPBACK_IFINDEX 1

/*
 * What comes for a socket that is bound to a loopback address comes from its container, or from a process of
 * the host's that has taken the container's address. Attached where that is asked for: of each packet that
 * any socket of the container receives, it is asked.
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
	/* the kernel takes from a wire what claims to be from here: of IPv4 where it is told to */
	if (skb->ingress_ifindex != LOOPBACK_IFINDEX)
		return refuse(EXPOSED);
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

SEC("sockops")
int flows(struct bpf_sock_ops *ctx)
{
	count_flow(ctx);
	return ALLOW;
}

/* Attached where that is asked for: of each packet of the container, TCP's too, it is asked whether it is
 * UDP's. */
SEC("cgroup_skb/egress")
int udp_sent(struct __sk_buff *skb)
{
	count_udp(skb, UDP_BYTES_SENT);
	return ALLOW;
}

SEC("cgroup_skb/ingress")
int udp_received(struct __sk_buff *skb)
{
	count_udp(skb, UDP_BYTES_RECEIVED);
	return ALLOW;
}

char LICENSE[] SEC("license") = "GPL";
