/**
 * The first talk's own table, of hardware: "Container Networking: The Play of BPF & Network NS with different Virtual Devices" (Takshak
 * Chahande, Martin KaFai Lau), tcp_rr of 500 flows and 36 threads, one byte each way. Its machine is our host; its peer was measured by
 * nobody.
 */
import type { Device, Forward } from '../types.ts';

interface TalkRow {
	/** per cent of the machine's CPU time */
	util: number;
	softirq: number;
	system: number;
	user: number;
	/** thousands of transactions a second, for each per cent */
	transactions: number;
}

/** By what we call it: its "meta" is netkit, its "no fib lookup" our `redirect`. */
const ROWS: Partial<Record<`${Device}/${Forward}`, TalkRow>> = {
	'none/native': { util: 84.78, softirq: 2.48, system: 63.24, user: 18.46, transactions: 19.17 },
	'ipvlan-l2/native': { util: 85.19, softirq: 2.85, system: 63.73, user: 18.09, transactions: 18.9 },
	'netkit-l2/redirect': { util: 85.85, softirq: 2.17, system: 64.79, user: 18.38, transactions: 18.88 },
	'veth/redirect': { util: 87.09, softirq: 14.78, system: 53.89, user: 17.89, transactions: 18.61 },
};
const BARE = ROWS['none/native']!;

/** CPU time of a transaction, where that of bare metal is 1; the parts do not quite add up to it, nor do the talk's. */
export interface TalkShare {
	all: number;
	user: number;
	system: number;
	softirq: number;
}

/** null: the talk has no such row. */
export function talkShare({ device, forward }: { device: string; forward: string }): TalkShare | null {
	const row: TalkRow | undefined = (ROWS as Record<string, TalkRow>)[`${device}/${forward}`];
	if (!row) return null;
	const all = BARE.transactions / row.transactions;
	const share = (part: number) => (all * part) / row.util;
	return { all, user: share(row.user), system: share(row.system), softirq: share(row.softirq) };
}
