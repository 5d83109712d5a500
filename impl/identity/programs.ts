/** The programs of an identity container, those of bpf/identity.bpf.c and bpf/low_ports.bpf.c, and the hooks of its cgroup. */
import type { CgroupHook } from '../libbpf/attach.ts';
import type { IdentitySpec } from './spec.ts';

/** What makes the cgroup's row, and judges nothing. */
export const FIRST_PROGRAM = 'sock_release';

/** Of every container, in the order in which they are attached: what only shows and judges comes before what changes. */
const ALWAYS = [
	FIRST_PROGRAM,
	'flows',
	'getsockname4',
	'getsockname6',
	'getpeername4',
	'getpeername6',
	'recvmsg4',
	'recvmsg6',
	'sendmsg4',
	'sendmsg6',
	'connect4',
	'connect6',
	'bind4',
	'bind6',
	'post_bind4',
	'post_bind6',
	'own_range',
	'sock_create',
] as const;

/** Where it is asked for. */
export const LOW_PORTS = ['low_port4', 'low_port6'] as const;
const COUNT_UDP = ['udp_sent', 'udp_received'] as const;
const PRIVATE_LOCALHOST = ['local_only'] as const;

/** Of the object `identity`. */
export const IDENTITY_PROGRAMS = [...ALWAYS, ...COUNT_UDP, ...PRIVATE_LOCALHOST] as const;
/** In the order in which they are attached; they go in the opposite one. */
export const ATTACH_ORDER = [...ALWAYS, ...LOW_PORTS, ...COUNT_UDP, ...PRIVATE_LOCALHOST] as const;
export type IdentityProgram = (typeof ATTACH_ORDER)[number];

/** Of those whose hook does not bear their name. */
const HOOKS: Partial<Record<IdentityProgram, CgroupHook>> = {
	flows: 'cgroup/sock_ops',
	own_range: 'cgroup/setsockopt',
	udp_sent: 'cgroup/egress',
	udp_received: 'cgroup/ingress',
	local_only: 'cgroup/ingress',
	low_port4: 'cgroup/bind4',
	low_port6: 'cgroup/bind6',
};

/** Those that a container has, in that order. */
export function identityPrograms({ lowPorts, countUdp, privateLocalhost }: IdentitySpec): IdentityProgram[] {
	return [
		...ALWAYS,
		...(lowPorts ? LOW_PORTS : []),
		...(countUdp ? COUNT_UDP : []),
		...(privateLocalhost ? PRIVATE_LOCALHOST : []),
	];
}

export function hookOf(program: IdentityProgram): CgroupHook {
	return HOOKS[program] ?? (`cgroup/${program}` as CgroupHook);
}
