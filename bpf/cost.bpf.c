/*
 * Where a machine's instructions go while a workload's window is open: to whom, and in which part of the
 * kernel. For a guest with one CPU whose clock ticks once for each instruction (QEMU's exact profile): there
 * the time between two events is what was executed between them.
 *
 *   sys_exit ──user──▶ sys_enter ──system──▶ sched_switch ──system, of another task──▶ …
 *                                   │
 *                                   └─▶ softirq_entry ──?──▶ netif_receive_skb ──softirq, of the packet's
 * side──▶ softirq_exit ──▶ system irq entry ──hardirq──▶ irq exit, around all of these
 *
 * A softirq is its packets': from its entry to its second packet it is the first one's. One without packets
 * is the task's that it interrupts. The time that these programs take themselves is between two clocks that
 * each of them reads, and is nobody's; what it takes to call them is not: `touched` says where it fell.
 */
#include "include/kernel.h"
#include "include/packet.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid, tgid;
} __attribute__((preserve_access_index));

#define NET_RX_SOFTIRQ 3
#define VECTORS 10

/* The same words in the same order as in vmtests/support/guest/cost.ts. */
enum side { HOST, PEER, OTHER, SIDES };
enum part { USER, SYSTEM, SOFTIRQ, HARDIRQ, IDLE, PARTS };

struct spent {
	/* nanoseconds, which are instructions but where the machine is idle */
	__u64 time[PARTS];
	/* how often one of these programs, but those of system calls, was called at its beginning and at its
	 * end */
	__u64 touched[PARTS];
	__u64 syscalls, packets;
};

struct cost {
	struct spent spent[SIDES];
	__u64 switches, hardirqs;
	/* by vector */
	__u64 raised[VECTORS], softirqs[VECTORS];
	/* how often one of these programs was called, but those of system calls */
	__u64 calls;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cost);
} costs SEC(".maps");

/* Not 0: the workload's window is open. The workload itself opens and closes it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} window SEC(".maps");

/* Whose a process is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} sides SEC(".maps");

/* Tasks that lost the CPU while they were in user mode: it is there that they go on. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} preempted SEC(".maps");

struct place {
	__u32 netns, ifindex;
};

/* How many packets were put into a backlog, by the device that will receive them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct place);
	__type(value, __u64);
} backlogs SEC(".maps");

/* What runs now. */
struct now {
	/* of the last event; 0: none since the window was opened */
	__u64 since;
	/* of a softirq that has had no packet yet */
	__u64 unclaimed, unclaimed_touched;
	enum side task, packets;
	/* USER, SYSTEM or IDLE */
	enum part mode;
	bool softirq, claimed, hardirq;
	/* the inode of the peer's netns; the reader writes it */
	__u32 peer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct now);
} states SEC(".maps");

static __always_inline bool is_unclaimed(const struct now *now)
{
	return now->softirq && !now->claimed && !now->hardirq;
}

static __always_inline enum part part_of(const struct now *now)
{
	if (now->hardirq)
		return HARDIRQ;
	return now->softirq ? SOFTIRQ : now->mode;
}

static __always_inline enum side side_of(const struct now *now)
{
	return now->softirq && now->claimed ? now->packets : now->task;
}

static __always_inline struct spent *spent_by(struct cost *cost, const struct now *now)
{
	__u32 side = side_of(now);

	return &cost->spent[side < SIDES ? side : OTHER];
}

static __always_inline void touch(struct cost *cost, struct now *now)
{
	__u32 part = part_of(now);

	if (is_unclaimed(now))
		now->unclaimed_touched++;
	else if (part < PARTS)
		spent_by(cost, now)->touched[part]++;
}

/* What has run until now is paid for. NULL: the window is closed. */
static __always_inline struct cost *pay(struct now *now, __u64 time)
{
	__u32 key = 0, part = part_of(now);
	__u64 *open = bpf_map_lookup_elem(&window, &key);
	struct cost *cost;

	if (!open || !*open) {
		now->since = 0;
		return NULL;
	}
	cost = bpf_map_lookup_elem(&costs, &key);
	if (!cost || !now->since)
		return cost;
	if (is_unclaimed(now))
		now->unclaimed += time - now->since;
	else if (part < PARTS)
		spent_by(cost, now)->time[part] += time - now->since;
	return cost;
}

static __always_inline struct now *what_runs(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&states, &key);
}

static __always_inline void claim(struct cost *cost, struct now *now, enum side side)
{
	struct spent *spent;

	now->packets = side;
	now->claimed = true;
	if (cost) {
		spent = spent_by(cost, now);
		spent->time[SOFTIRQ] += now->unclaimed;
		spent->touched[SOFTIRQ] += now->unclaimed_touched;
	}
	now->unclaimed = 0;
	now->unclaimed_touched = 0;
}

/* Each program: what was before it is paid for, `change` is made, and what comes after it begins. */
#define EVENT(name, change)                                                                                  \
	int name(__u64 *ctx)                                                                                 \
	{                                                                                                    \
		__u64 time = bpf_ktime_get_ns();                                                             \
		struct now *now = what_runs();                                                               \
		struct cost *cost;                                                                           \
                                                                                                             \
		if (!now)                                                                                    \
			return 0;                                                                            \
		cost = pay(now, time);                                                                       \
		if (cost) {                                                                                  \
			cost->calls++;                                                                       \
			touch(cost, now);                                                                    \
		}                                                                                            \
		change(ctx, now, cost);                                                                      \
		if (cost) {                                                                                  \
			touch(cost, now);                                                                    \
			now->since = bpf_ktime_get_ns();                                                     \
		}                                                                                            \
		return 0;                                                                                    \
	}

SEC("raw_tp/sys_enter")
int on_sys_enter(void *ctx)
{
	__u64 time = bpf_ktime_get_ns();
	struct now *now = what_runs();
	struct cost *cost;

	if (!now)
		return 0;
	cost = pay(now, time);
	now->mode = SYSTEM;
	if (cost) {
		spent_by(cost, now)->syscalls++;
		now->since = bpf_ktime_get_ns();
	}
	return 0;
}

SEC("raw_tp/sys_exit")
int on_sys_exit(void *ctx)
{
	__u64 time = bpf_ktime_get_ns();
	struct now *now = what_runs();
	struct cost *cost;

	if (!now)
		return 0;
	cost = pay(now, time);
	now->mode = USER;
	if (cost)
		now->since = bpf_ktime_get_ns();
	return 0;
}

/* (preempt, prev, next, …): the further ones differ from kernel to kernel */
static __always_inline void switch_task(const __u64 *ctx, struct now *now, struct cost *cost)
{
	struct task_struct *last = (struct task_struct *)ctx[1], *next = (struct task_struct *)ctx[2];
	__u32 pid = BPF_CORE_READ(last, pid), tgid = BPF_CORE_READ(next, tgid), *side, yes = 1;

	if (now->mode == USER)
		bpf_map_update_elem(&preempted, &pid, &yes, BPF_ANY);
	pid = BPF_CORE_READ(next, pid);
	side = bpf_map_lookup_elem(&sides, &tgid);
	now->task = side ? *side : OTHER;
	now->mode = pid ? SYSTEM : IDLE;
	if (pid && !bpf_map_delete_elem(&preempted, &pid))
		now->mode = USER;
	if (cost)
		cost->switches++;
}

SEC("raw_tp/sched_switch")
EVENT(on_sched_switch, switch_task)

static __always_inline void enter_softirq(const __u64 *ctx, struct now *now, struct cost *cost)
{
	__u32 vector = ctx[0];

	now->softirq = true;
	now->claimed = vector != NET_RX_SOFTIRQ;
	now->packets = now->task;
	if (cost && vector < VECTORS)
		cost->softirqs[vector]++;
}

SEC("raw_tp/softirq_entry")
EVENT(on_softirq_entry, enter_softirq)

static __always_inline void exit_softirq(const __u64 *ctx, struct now *now, struct cost *cost)
{
	if (!now->claimed)
		claim(cost, now, now->task);
	now->softirq = false;
}

SEC("raw_tp/softirq_exit")
EVENT(on_softirq_exit, exit_softirq)

static __always_inline void enter_hardirq(const __u64 *ctx, struct now *now, struct cost *cost)
{
	now->hardirq = true;
	if (cost)
		cost->hardirqs++;
}

static __always_inline void exit_hardirq(const __u64 *ctx, struct now *now, struct cost *cost)
{
	now->hardirq = false;
}

SEC("raw_tp/irq_handler_entry")
EVENT(on_irq_handler_entry, enter_hardirq)

SEC("raw_tp/irq_handler_exit")
EVENT(on_irq_handler_exit, exit_hardirq)

/* x86: the timer of the CPU itself */
SEC("raw_tp/local_timer_entry")
EVENT(on_local_timer_entry, enter_hardirq)

SEC("raw_tp/local_timer_exit")
EVENT(on_local_timer_exit, exit_hardirq)

static __always_inline __u32 netns_of(const struct net_device *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, ns.inum);
}

static __always_inline void receive(const __u64 *ctx, struct now *now, struct cost *cost)
{
	struct net_device *dev = BPF_CORE_READ((struct sk_buff *)ctx[0], dev);
	enum side side = netns_of(dev) == now->peer ? PEER : HOST;

	if (now->softirq)
		claim(cost, now, side);
	if (cost)
		cost->spent[side].packets++;
}

SEC("raw_tp/netif_receive_skb")
EVENT(on_netif_receive_skb, receive)

static __always_inline void raise(const __u64 *ctx, struct now *now, struct cost *cost)
{
	__u32 vector = ctx[0];

	if (cost && vector < VECTORS)
		cost->raised[vector]++;
}

SEC("raw_tp/softirq_raise")
EVENT(on_softirq_raise, raise)

static __always_inline void enqueue(const __u64 *ctx, struct now *now, struct cost *cost)
{
	struct net_device *dev = BPF_CORE_READ((struct sk_buff *)ctx[0], dev);
	struct place place = {.netns = netns_of(dev), .ifindex = BPF_CORE_READ(dev, ifindex)};
	__u64 none = 0, *count;

	if (!cost)
		return;
	bpf_map_update_elem(&backlogs, &place, &none, BPF_NOEXIST);
	count = bpf_map_lookup_elem(&backlogs, &place);
	if (count)
		++*count;
}

SEC("fentry/enqueue_to_backlog")
EVENT(on_enqueue_to_backlog, enqueue)

/* What the kernel's own statistics say of a program that does nothing, they say too much of every other. */
SEC("tc")
int nothing(struct __sk_buff *skb)
{
	return VERDICT_PASS;
}

char LICENSE[] SEC("license") = "GPL";
