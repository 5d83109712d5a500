/** What the running kernel calls its drop reasons: their numbers differ between kernels, their names hardly do. */
import { readFileSync } from 'node:fs';
import { kernelEnums } from '../../../impl/libbpf/btf.ts';

/** The enums that hold reasons, and what their names begin with here and there. */
const REASONS = {
	/** 5.17 (c504e5c2f964) */
	skb_drop_reason: { prefix: /^SKB_DROP_REASON_/, to: '' },
	/** 7.1 took the reasons of qdiscs out of the one above into a subsystem's own: QDISC_OVERLIMIT is QDISC_DROP_OVERLIMIT there */
	qdisc_drop_reason: { prefix: /^QDISC_DROP_/, to: 'QDISC_' },
} as const;
const REASON_ENUMS = Object.keys(REASONS) as (keyof typeof REASONS)[];
const HELPERS = 'bpf_func_id';

export interface DropNames {
	/** by number; none before 5.17 */
	reasons: Map<number, string>;
	/** the function that an address is in; null where the tracer names it by itself (bpf_snprintf, 5.13) */
	functionAt: ((location: bigint) => string) | null;
}

/** Asks the kernel: meant to be made once, before a lab is saved. */
export function dropNames(): DropNames {
	const enums = kernelEnums([...REASON_ENUMS, HELPERS]);
	const reasons = reasonsOf(enums);
	const printed = [...enums[HELPERS].values()].includes('BPF_FUNC_snprintf');
	if (printed) return { reasons, functionAt: null };
	// some seven megabytes, which the kernel takes a second to write
	const kallsyms = readFileSync('/proc/kallsyms', 'latin1');
	return { reasons, functionAt: (location) => functionAt(kallsyms, location) };
}

function reasonsOf(enums: Record<keyof typeof REASONS, Map<number, string>>): Map<number, string> {
	return new Map(
		REASON_ENUMS.flatMap((name) =>
			Array.from(
				enums[name],
				([value, text]) => [value, text.replace(REASONS[name].prefix, REASONS[name].to)] as const,
			),
		),
	);
}

/** The function that an address is in. `kallsyms` as in /proc: `ffffffff81000000 T _text`, in no order. */
export function functionAt(kallsyms: string, location: bigint): string {
	// all addresses are written with 16 digits: they compare as text
	const wanted = location.toString(16).padStart(16, '0');
	let nearest = '';
	for (let at = 0, end = 0; at < kallsyms.length; at = end + 1) {
		end = kallsyms.indexOf('\n', at);
		if (end < 0) end = kallsyms.length;
		const isFunction = 'tTwW'.includes(kallsyms[at + 17] ?? ' ');
		const address = kallsyms.slice(at, at + 16);
		if (isFunction && address <= wanted && address >= nearest.slice(0, 16)) nearest = kallsyms.slice(at, end);
	}
	// `… t veth_xmit\t[veth]`
	return nearest.slice(19).split('\t')[0] || `0x${wanted}`;
}
