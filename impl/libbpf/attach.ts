/**
 * Putting a program where packets pass. A link is a file descriptor: it holds the attachment for as long as it is open or pinned,
 * and nobody can take it away by the device. A clsact filter has none; it lives with its qdisc.
 */
import { closeSync } from 'node:fs';
import { check, checkPointer, errnoName, native } from './native.ts';

/** enum bpf_attach_type, which only ever grows. */
export const ATTACH_TYPE = {
	xdp: 37,
	'tcx/ingress': 46,
	'tcx/egress': 47,
	'netkit/primary': 54,
	'netkit/peer': 55,
} as const;
export type LinkKind = keyof typeof ATTACH_TYPE;

/** enum bpf_attach_type: of a cgroup, and by its name that of a program for it */
export const CGROUP_HOOK = {
	'cgroup/ingress': 0,
	'cgroup/egress': 1,
	'cgroup/sock_create': 2,
	'cgroup/sock_ops': 3,
	'cgroup/bind4': 8,
	'cgroup/bind6': 9,
	'cgroup/connect4': 10,
	'cgroup/connect6': 11,
	'cgroup/post_bind4': 12,
	'cgroup/post_bind6': 13,
	'cgroup/sendmsg4': 14,
	'cgroup/sendmsg6': 15,
	'cgroup/recvmsg4': 19,
	'cgroup/recvmsg6': 20,
	'cgroup/getsockopt': 21,
	'cgroup/setsockopt': 22,
	'cgroup/getpeername4': 29,
	'cgroup/getpeername6': 30,
	'cgroup/getsockname4': 31,
	'cgroup/getsockname6': 32,
	'cgroup/sock_release': 34,
} as const;
export type CgroupHook = keyof typeof CGROUP_HOOK;

/** How a link is made; the two cannot go together. */
export const LINK_FLAGS = {
	none: 0,
	/** of XDP, linux/if_link.h: not in the driver but in the generic hook, which every device has */
	generic: 2,
	/** of TCX and netkit, and of cgroups where `hasCgroupOrder`, BPF_F_BEFORE: before all that are there */
	first: 8,
} as const;
export type LinkFlag = keyof typeof LINK_FLAGS;

/** Attaches to a device of the current netns and answers the link. netkit takes the primary's index for both sides. */
export function linkProgram(program: number, ifindex: number, kind: LinkKind, flag: LinkFlag = 'none'): number {
	const link = linkCreate(program, ifindex, ATTACH_TYPE[kind], flag);
	return check(link, `${kind} of device ${ifindex}`, 'bpftool net; bpftool link');
}

/**
 * Whether the kernel has this kind of link: it answers EINVAL to a kind that it does not know, or that is not for this type of
 * program, before it looks for the device.
 */
export function hasLinkKind(program: number, kind: LinkKind): boolean {
	const link = linkCreate(program, 0x7fff_ffff, ATTACH_TYPE[kind], 'none');
	if (link >= 0) closeSync(link);
	return !['EINVAL', 'EOPNOTSUPP'].includes(errnoName(-link));
}

/**
 * Attaches to a cgroup, by the file descriptor of its directory, beside whatever is there, and answers the link. Throws a
 * DatapathError too where someone has attached there, or above, what tolerates nothing beside it.
 */
export function linkCgroup(program: number, cgroup: number, hook: CgroupHook, flag: LinkFlag = 'none'): number {
	return check(linkCreate(program, cgroup, CGROUP_HOOK[hook], flag), hook, 'bpftool cgroup tree');
}

/**
 * Whether links of cgroups can be put before others, which is not by version: the kernel answers EINVAL to flags that it does not
 * know before it looks for the cgroup.
 */
export function hasCgroupOrder(program: number, hook: CgroupHook): boolean {
	return errnoName(-linkCreate(program, NO_FD, CGROUP_HOOK[hook], 'first')) !== 'EINVAL';
}

const NO_FD = -1;

function linkCreate(program: number, target: number, type: number, flag: LinkFlag): number {
	// struct bpf_link_create_opts { size_t sz; __u32 flags; … }
	const opts = Buffer.alloc(16);
	opts.writeBigUInt64LE(16n, 0);
	opts.writeUInt32LE(LINK_FLAGS[flag], 8);
	return native.bpf_link_create(program, target, type, opts);
}

/** fentry, fexit and tp_btf, whose target is named when they are loaded. */
export function attachTracing(program: number, name: string): number {
	return check(native.bpf_raw_tracepoint_open(null, program), `attach ${name}`);
}

export function attachRawTracepoint(program: number, tracepoint: string): number {
	return check(native.bpf_raw_tracepoint_open(tracepoint, program), `attach to the tracepoint ${tracepoint}`);
}

/** `program` is the object's pointer. The link lives as long as the process. */
export function attachKprobe(program: bigint, symbol: string): bigint {
	return checkPointer(native.bpf_program__attach_kprobe(program, false, symbol), `kprobe of ${symbol}`);
}

/** enum bpf_attach_type; NFPROTO_* and NF_INET_LOCAL_OUT of linux/netfilter.h */
const NETFILTER = 45;
const NETFILTER_FAMILY = { 4: 2, 6: 10 } as const;
const LOCAL_OUT = 3;

/** To what this netns itself sends by IP, before it is routed. Two of one priority cannot be (EBUSY). Answers the link. */
export function linkOutput(program: number, family: 4 | 6, priority: number): number {
	// struct bpf_link_create_opts { size_t sz; …; union at 32 { struct { __u32 pf, hooknum; __s32 priority; __u32 flags; } netfilter; } }
	const opts = Buffer.alloc(48);
	opts.writeBigUInt64LE(48n, 0);
	opts.writeUInt32LE(NETFILTER_FAMILY[family], 32);
	opts.writeUInt32LE(LOCAL_OUT, 36);
	opts.writeInt32LE(priority, 40);
	return check(
		native.bpf_link_create(program, 0, NETFILTER, opts),
		`output of IPv${family}`,
		'a kernel that is built with CONFIG_NETFILTER_BPF_LINK=y',
	);
}

export type TcDirection = 'ingress' | 'egress';

/** A filter on a device's clsact qdisc. */
export interface TcFilter {
	ifindex: number;
	direction: TcDirection;
	handle: number;
	priority: number;
}

const TC_POINT = { ingress: 1, egress: 2, both: 3 } as const;
const ENOENT = 2;
const ENODEV = 19;
const EEXIST = 17;
const EINVAL = 22;
const BPF_TC_F_REPLACE = 1;

/** For kernels without TCX. Makes the clsact qdisc where there is none yet. */
export function attachClsact(program: number, filter: TcFilter): void {
	const hook = tcHook(filter);
	const created: number = native.bpf_tc_hook_create(hook);
	// libbpf ≤ 1.3 says so and later ones too: two programs share one qdisc
	if (created !== -EEXIST) check(created, `clsact on device ${filter.ifindex}`, 'modprobe sch_ingress');
	const opts = tcOpts({ program, flags: BPF_TC_F_REPLACE, ...filter });
	check(native.bpf_tc_attach(hook, opts), `filter on device ${filter.ifindex}`, 'modprobe cls_bpf');
}

/** What is gone already is no error. */
export function detachClsact(filter: TcFilter): void {
	const opts = tcOpts({ program: 0, flags: 0, ...filter });
	const status: number = native.bpf_tc_detach(tcHook(filter), opts);
	if (![-ENOENT, -EINVAL, -ENODEV].includes(status)) check(status, `filter on device ${filter.ifindex}`);
}

/** The id of the program that a filter runs; null: there is no such filter. `no clsact`: nor a qdisc that could have one. */
export function queryClsact(filter: TcFilter): number | null | 'no clsact' {
	const opts = tcOpts({ program: 0, flags: 0, ...filter });
	const status: number = native.bpf_tc_query(tcHook(filter), opts);
	if (status === -EINVAL || status === -ENODEV) return 'no clsact';
	if (status === -ENOENT) return null;
	check(status, `filter on device ${filter.ifindex}`);
	return opts.readUInt32LE(16);
}

/** Takes the qdisc away, with all filters that anybody has there. */
export function removeClsact(ifindex: number): void {
	const status: number = native.bpf_tc_hook_destroy(tcHook({ ifindex, direction: 'both' }));
	if (![-ENOENT, -EINVAL, -ENODEV].includes(status)) check(status, `clsact on device ${ifindex}`);
}

/** struct bpf_tc_hook { size_t sz; int ifindex; enum attach_point; __u32 parent; } */
function tcHook({ ifindex, direction }: { ifindex: number; direction: keyof typeof TC_POINT }): Buffer {
	const hook = Buffer.alloc(24);
	hook.writeBigUInt64LE(24n, 0);
	hook.writeInt32LE(ifindex, 8);
	hook.writeInt32LE(TC_POINT[direction], 12);
	return hook;
}

/** struct bpf_tc_opts { size_t sz; int prog_fd; __u32 flags, prog_id, handle, priority; } */
function tcOpts(opts: { program: number; flags: number; handle: number; priority: number }): Buffer {
	const bytes = Buffer.alloc(32);
	bytes.writeBigUInt64LE(32n, 0);
	bytes.writeInt32LE(opts.program, 8);
	bytes.writeUInt32LE(opts.flags, 12);
	bytes.writeUInt32LE(opts.handle, 20);
	bytes.writeUInt32LE(opts.priority, 24);
	return bytes;
}

/** Keeps a link, a program or a map beyond this process, under a path in bpffs. */
export function pin(fd: number, path: string): void {
	check(native.bpf_obj_pin(fd, path), `pin ${path}`, 'mount -t bpf bpf /sys/fs/bpf');
}

/** What is pinned there. */
export function getPinned(path: string): number {
	return check(native.bpf_obj_get(path), `nothing is pinned at ${path}`, `ls ${path.slice(0, path.lastIndexOf('/'))}`);
}

/** Puts another program in the place of a link's own, at once: each packet meets one of the two. */
export function updateLink(link: number, program: number): void {
	check(native.bpf_link_update(link, program, null), 'replace the program of a link', 'bpftool link');
}

/** Takes the program from its hook, whoever else holds the link. */
export function detachLink(link: number): void {
	check(native.bpf_link_detach(link), 'detach a link');
}
