/** The programs of bpf/tls_connect.bpf.c, and the hooks of the two cgroups that they are attached to. */
import type { CgroupHook } from '../libbpf/attach.ts';

/** On the forward proxy's cgroup. */
export const PROXY_PROGRAMS = ['tls_accepted', 'tls_original'] as const;
/** On the container's: what forgets and shows comes before what turns. */
const CONTAINER_PROGRAMS = [
	'tls_release',
	'tls_flow',
	'tls_peer4',
	'tls_peer6',
	'tls_connect4',
	'tls_connect6',
] as const;
/** In the order in which they are attached; they go in the opposite one. */
export const TLS_PROGRAMS = [...PROXY_PROGRAMS, ...CONTAINER_PROGRAMS] as const;
export type TlsProgram = (typeof TLS_PROGRAMS)[number];

export const TLS_HOOKS: Record<TlsProgram, CgroupHook> = {
	tls_accepted: 'cgroup/sock_ops',
	tls_original: 'cgroup/getsockopt',
	tls_release: 'cgroup/sock_release',
	tls_flow: 'cgroup/sock_ops',
	tls_peer4: 'cgroup/getpeername4',
	tls_peer6: 'cgroup/getpeername6',
	tls_connect4: 'cgroup/connect4',
	tls_connect6: 'cgroup/connect6',
};
