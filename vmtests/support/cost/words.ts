/** The words of a cost, as bpf/cost.bpf.c has them. */

/** The measured host with its containers, the machine beyond its uplink, and what is neither: the guest's own threads and agent. */
export const SIDES = ['host', 'peer', 'other'] as const;
export type Side = (typeof SIDES)[number];

export const PARTS = ['user', 'system', 'softirq', 'hardirq', 'idle'] as const;
export type Part = (typeof PARTS)[number];

/** By vector: linux/interrupt.h */
export const SOFTIRQS = [
	'HI',
	'TIMER',
	'NET_TX',
	'NET_RX',
	'BLOCK',
	'IRQ_POLL',
	'TASKLET',
	'SCHED',
	'HRTIMER',
	'RCU',
] as const;
