/** What the running kernel calls its drop reasons: their numbers differ between kernels, their names do not. */
import { existsSync, readFileSync } from 'node:fs';

const FORMAT = 'events/skb/kfree_skb/format';
const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];

/**
 * From the tracepoint's own format, which the kernel prints from enum skb_drop_reason: `{ 3, "NO_SOCKET" }`. Empty before 5.17
 * (c504e5c2f964), where there are no reasons.
 */
export function parseDropReasons(format: string): Map<number, string> {
	return new Map(
		[...format.matchAll(/\{\s*(\w+),\s*"(\w+)"\s*\}/g)].map(([, number, name]) => [Number(number), name!]),
	);
}

/** Answers a reason by name; the function that dropped, where the kernel knows no reasons. Meant to be made once. */
export function dropNames(): (reason: number, location: bigint) => string {
	const format = TRACEFS.map((root) => `${root}/${FORMAT}`).find((path) => existsSync(path));
	const reasons = parseDropReasons(format ? readFileSync(format, 'utf8') : '');
	// some seven megabytes, which the kernel takes a second to write: read before a lab is saved, not in each fork
	const kallsyms = reasons.size ? '' : readFileSync('/proc/kallsyms', 'latin1');
	const functions = new Map<bigint, string>();
	return (reason, location) => {
		if (reason) return reasons.get(reason) ?? `REASON_${reason}`;
		const name = functions.get(location) ?? functionAt(kallsyms, location);
		functions.set(location, name);
		return name;
	};
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
