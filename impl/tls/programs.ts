/** The programs of bpf/tls_connect.bpf.c and bpf/tls_udp.bpf.c, and the hooks of the two cgroups that they are attached to. */
import type { CgroupHook } from '../libbpf/attach.ts';

/**
 * In the order in which they are attached, what asks and shows before what turns; they go in the opposite one. What UDP needs it needs
 * beside what TCP does.
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
} as const;
export type TlsObject = keyof typeof TLS_PROGRAMS;
export type TlsProgram = (typeof TLS_PROGRAMS)[TlsObject][number];

export const ALL_TLS_PROGRAMS: readonly TlsProgram[] = Object.values(TLS_PROGRAMS).flat();

/** Those on the forward proxy's cgroup; the others are on the container's. */
export function isOfProxy(program: TlsProgram): boolean {
	return ['tls_accepted', 'tls_original', 'tls_heard4', 'tls_heard6', 'tls_answer4', 'tls_answer6'].includes(program);
}

export const TLS_HOOKS: Record<TlsProgram, CgroupHook> = {
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
