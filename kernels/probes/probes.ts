/**
 * Asks the running kernel what it can do, by doing it: runs in the guest's agent. A probe answers 0 where the kernel did it, else
 * what it said: an errno below zero, or text. It leaves nothing behind.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { FeatureName } from '../features.ts';
import {
	ATTACH,
	exit,
	HELPER,
	hasHelper,
	hasMap,
	hasProgram,
	helper,
	load,
	MAP,
	move,
	PROGRAM,
	runOnce,
	tryAttach,
	tryKprobeMulti,
	tryLink,
	using,
	vmlinuxFunction,
	withProgram,
} from './bpf.ts';
import {
	deviceIndex,
	inNewCgroup,
	inNewNetns,
	LOOPBACK,
	tryCommand,
	tryRingOperation,
	trySocket,
	tryTcpOption,
} from './place.ts';

export interface Finding {
	has: boolean;
	/** the kernel's words where it has not */
	said: string;
}

type Answer = number | string;

const ENOENT = -2;
/** A function that every kernel has and nothing inlines. */
const TRACED = 'ip6_rcv_core';

const yes = (has: boolean): Answer => (has ? 0 : 'no');
/** Whether a file says so; where a kernel is built without what it tells of, there is none. */
const inFile = (path: string, pattern: RegExp): Answer =>
	existsSync(path) ? yes(pattern.test(readFileSync(path, 'utf8'))) : ENOENT;
const link = (command: string) => () => inNewNetns(() => tryCommand(`ip link add ${command}`));
const qdisc = (name: string) => () => inNewNetns(() => tryCommand(`tc qdisc add dev lo ${name}`));

/** A device below others needs one to be on: whatever this kernel has. */
const onSomeDevice = (command: string) => () =>
	inNewNetns(() => {
		const lower = ['dummy', 'veth', 'netkit'].map((type) => tryCommand(`ip link add lower type ${type}`));
		return lower.includes(0) ? tryCommand(`ip link add link lower name upper ${command}`) : 'no device to be on';
	});

const onNetkit = (act: (device: number) => Answer) => () =>
	inNewNetns(() => {
		const made = tryCommand('ip link add n0 type netkit peer name n1');
		return made === 0 ? act(deviceIndex('n0')) : made;
	});

const onKernelFunction = (act: (btfId: number) => Answer) => () => {
	const id = vmlinuxFunction(TRACED);
	return id < 0 ? id : act(id);
};

const kfunc = (name: string) => () => {
	const id = vmlinuxFunction(name);
	return Math.min(id, 0);
};

const cgroupFlags = (flags: number) => () =>
	inNewCgroup((cgroup) =>
		withProgram(PROGRAM.cgroupSkb, 1, { attach: ATTACH.cgroupInetEgress }, (fd) =>
			tryAttach(fd, cgroup, ATTACH.cgroupInetEgress, BPF_F_ALLOW_MULTI | flags),
		),
	);

const BPF_F_ALLOW_MULTI = 1 << 1;
const BPF_F_BEFORE = 1 << 3;
const BPF_F_PREORDER = 1 << 6;
/** of bpf_redirect_peer */
const BPF_F_EGRESS = 1 << 1;
const TC_ACT_REDIRECT = 7;
const XDP_FLAGS_SKB_MODE = 1 << 1;
const TCP_ULP = 31;
const [AF_INET, SOCK_STREAM, IPPROTO_SCTP, IPPROTO_MPTCP] = [2, 1, 132, 262];
/** linux/io_uring.h: enum io_uring_op */
const [IORING_OP_CONNECT, IORING_OP_SOCKET, IORING_OP_BIND] = [16, 45, 56];

/** By the name of the feature in `kernels/features.ts`. */
export const PROBES: Record<FeatureName, () => Answer> = {
	modules: () => inFile(`/lib/modules/${release()}/modules.dep`, /\S/),
	veth: link('v0 type veth peer name v1'),
	netkit: link('n0 type netkit peer name n1'),
	'netkit-scrub': link('n0 type netkit scrub none peer name n1'),
	ipvlan: onSomeDevice('type ipvlan mode l2'),
	macvlan: onSomeDevice('type macvlan'),
	dummy: link('d0 type dummy'),
	bridge: link('b0 type bridge'),
	vxlan: link('x0 type vxlan id 1 dstport 4789'),
	vlan: onSomeDevice('type vlan id 1'),
	'virtio-net': () => {
		// It fails where the driver is built in and the guest has no list of that.
		const inserted = tryCommand('modprobe virtio_net');
		return existsSync('/sys/bus/virtio/drivers/virtio_net') ? 0 : inserted;
	},
	clsact: qdisc('clsact'),
	netem: qdisc('root netem delay 1ms'),
	fq: qdisc('root fq'),
	nftables: () => inNewNetns(() => tryCommand('nft add table inet probe')),
	tcx: () => inNewNetns(() => withProgram(PROGRAM.classifier, 0, {}, (fd) => tryLink(fd, LOOPBACK, ATTACH.tcxIngress))),
	'netkit-link': onNetkit((device) =>
		withProgram(PROGRAM.classifier, 0, {}, (fd) => tryLink(fd, device, ATTACH.netkitPrimary)),
	),
	'netkit-xdp-default': onNetkit((device) =>
		withProgram(PROGRAM.xdp, 2, { attach: ATTACH.xdp }, (fd) => tryLink(fd, device, ATTACH.xdp)),
	),
	'xdp-link': () =>
		inNewNetns(() =>
			withProgram(PROGRAM.xdp, 2, { attach: ATTACH.xdp }, (fd) =>
				tryLink(fd, LOOPBACK, ATTACH.xdp, XDP_FLAGS_SKB_MODE),
			),
		),
	'redirect-neigh': () => yes(hasHelper(PROGRAM.classifier, HELPER.redirectNeigh)),
	'redirect-peer': () => yes(hasHelper(PROGRAM.classifier, HELPER.redirectPeer)),
	'redirect-peer-egress': () =>
		using(
			load(PROGRAM.classifier, [move(1, LOOPBACK), move(2, BPF_F_EGRESS), helper(HELPER.redirectPeer), exit()]),
			(fd) => {
				const verdict = runOnce(fd);
				return verdict === TC_ACT_REDIRECT ? 0 : `verdict ${verdict}`;
			},
		),
	'netns-cookie-tc': () => yes(hasHelper(PROGRAM.classifier, HELPER.getNetnsCookie)),
	'cgroup-mprog': cgroupFlags(BPF_F_BEFORE),
	'cgroup-preorder': cgroupFlags(BPF_F_PREORDER),
	'cgroup-low-ports': () =>
		using(load(PROGRAM.cgroupSockAddr, [move(0, 3), exit()], { attach: ATTACH.cgroupInet6Bind }), () => 0),
	'cgroup-unix': () =>
		using(load(PROGRAM.cgroupSockAddr, [move(0, 1), exit()], { attach: ATTACH.cgroupUnixConnect }), () => 0),
	'drop-reasons': () => inFile('/sys/kernel/tracing/events/skb/kfree_skb/format', /\breason;/),
	'module-btf': () => {
		const folder = '/sys/kernel/btf';
		if (!existsSync(folder)) return ENOENT;
		const btf = readdirSync(folder).filter((name) => name !== 'vmlinux');
		return btf.length > 0 ? 0 : 'only vmlinux';
	},
	btf: () => (existsSync('/sys/kernel/btf/vmlinux') ? 0 : ENOENT),
	fentry: onKernelFunction((btfId) =>
		withProgram(PROGRAM.tracing, 0, { attach: ATTACH.fentry, btfId }, (fd) => tryLink(fd, 0, ATTACH.fentry)),
	),
	'kprobe-multi': () =>
		withProgram(PROGRAM.kprobe, 0, { attach: ATTACH.kprobeMulti }, (fd) => tryKprobeMulti(fd, TRACED)),
	'syscall-program': () => yes(hasProgram(PROGRAM.syscall)),
	ringbuf: () => yes(hasMap(MAP.ringbuf)),
	mptcp: () => trySocket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
	sctp: () => trySocket(AF_INET, SOCK_STREAM, IPPROTO_SCTP),
	'io-uring': () => tryRingOperation(IORING_OP_CONNECT),
	'io-uring-socket': () => tryRingOperation(IORING_OP_SOCKET),
	'io-uring-bind': () => tryRingOperation(IORING_OP_BIND),
	// A socket that is not connected cannot have it, and says so; a kernel without it knows no such name.
	tls: () => {
		const status = tryTcpOption(TCP_ULP, 'tls');
		return status === ENOENT ? status : 0;
	},
	'icmp-send': kfunc('bpf_icmp_send'),
	'bpf-ksock': kfunc('bpf_ksock_create'),
};

/** What the running kernel has, of all or of those named. Throws where a probe itself fails. */
export function probeFeatures(
	names: readonly FeatureName[] = Object.keys(PROBES) as FeatureName[],
): Record<string, Finding> {
	return Object.fromEntries(
		names.map((name) => {
			const answer = PROBES[name]();
			return [name, { has: answer === 0, said: typeof answer === 'number' ? errnoName(answer) : answer }];
		}),
	);
}

function errnoName(status: number): string {
	return status < 0 ? getSystemErrorName(status) : '';
}
