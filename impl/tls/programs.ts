/** The programs of bpf/tls_connect.bpf.c, bpf/tls_udp.bpf.c and bpf/tls_netns.bpf.c, and the hooks that they are attached to. */
import type { CgroupHook } from '../libbpf/attach.ts';

/**
 * In the order in which they are attached, what asks and shows before what turns; they go in the opposite one. What UDP needs it needs
 * beside what TCP does; `tls_netns` is all of a container with a netns of its own.
 */
export const TLS_PROGRAMS = {
	tls_connect: [
		'tls_accepted',
		'tls_original',
		'tls_release',
		'tls_flow',
		'tls_peer4',
		'tls_peer6',
		'tls_connect4',
		'tls_connect6',
	],
	tls_udp: [
		'tls_heard4',
		'tls_heard6',
		'tls_answer4',
		'tls_answer6',
		'tls_recvmsg4',
		'tls_recvmsg6',
		'tls_udp4',
		'tls_udp6',
		'tls_sendmsg4',
		'tls_sendmsg6',
	],
	tls_netns: ['tls_ns_original', 'tls_arrive', 'tls_turn_back', 'tls_guard', 'tls_turn'],
} as const;
export type TlsObject = keyof typeof TLS_PROGRAMS;
export type TlsProgram = (typeof TLS_PROGRAMS)[TlsObject][number];

export const ALL_TLS_PROGRAMS: readonly TlsProgram[] = Object.values(TLS_PROGRAMS).flat();

/** Those on the forward proxy's cgroup; the others are on the container's, or on a device. */
export function isOfProxy(program: TlsProgram): boolean {
	return [
		'tls_accepted',
		'tls_original',
		'tls_heard4',
		'tls_heard6',
		'tls_answer4',
		'tls_answer6',
		'tls_ns_original',
	].includes(program);
}

/** Those on a device of the container's netns, or on the host's end of it, where netkit has a hook of its own. */
export const ON_DEVICE = {
	tls_arrive: { device: 'eth0', kind: 'tcx/ingress' },
	tls_turn_back: { device: 'lo', kind: 'tcx/ingress' },
	tls_guard: { device: 'host end', kind: 'tcx/ingress' },
	tls_turn: { device: 'eth0', kind: 'tcx/egress' },
} as const;

export function isOnDevice(program: string): program is keyof typeof ON_DEVICE {
	return program in ON_DEVICE;
}

export const TLS_HOOKS: Record<Exclude<TlsProgram, keyof typeof ON_DEVICE>, CgroupHook> = {
	tls_ns_original: 'cgroup/getsockopt',
	tls_accepted: 'cgroup/sock_ops',
	tls_original: 'cgroup/getsockopt',
	tls_release: 'cgroup/sock_release',
	tls_flow: 'cgroup/sock_ops',
	tls_peer4: 'cgroup/getpeername4',
	tls_peer6: 'cgroup/getpeername6',
	tls_connect4: 'cgroup/connect4',
	tls_connect6: 'cgroup/connect6',
	tls_heard4: 'cgroup/recvmsg4',
	tls_heard6: 'cgroup/recvmsg6',
	tls_answer4: 'cgroup/sendmsg4',
	tls_answer6: 'cgroup/sendmsg6',
	tls_recvmsg4: 'cgroup/recvmsg4',
	tls_recvmsg6: 'cgroup/recvmsg6',
	tls_udp4: 'cgroup/connect4',
	tls_udp6: 'cgroup/connect6',
	tls_sendmsg4: 'cgroup/sendmsg4',
	tls_sendmsg6: 'cgroup/sendmsg6',
};
