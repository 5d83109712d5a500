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

/** A reason by name, or the function that dropped where the kernel knows no reasons. */
export function dropReasons(): (reason: number, location: bigint) => string {
	const format = TRACEFS.map((root) => `${root}/${FORMAT}`).find((path) => existsSync(path));
	const reasons = parseDropReasons(format ? readFileSync(format, 'utf8') : '');
	let symbols: KernelSymbols | undefined;
	return (reason, location) => {
		if (reason) return reasons.get(reason) ?? `REASON_${reason}`;
		symbols ??= new KernelSymbols(readFileSync('/proc/kallsyms', 'utf8'));
		return symbols.at(location);
	};
}

/** The function that an address is in. */
export class KernelSymbols {
	readonly #addresses: bigint[] = [];
	readonly #names: string[] = [];

	/** `kallsyms` as in /proc: `ffffffff81000000 T _text`, modules at the end. */
	constructor(kallsyms: string) {
		const functions = [...kallsyms.matchAll(/^([0-9a-f]+) [tTwW] (\S+)/gm)].map(
			([, address, name]) => [BigInt(`0x${address}`), name!] as const,
		);
		for (const [address, name] of functions.sort(([a], [b]) => (a < b ? -1 : Number(a > b)))) {
			this.#addresses.push(address);
			this.#names.push(name);
		}
	}

	at(location: bigint): string {
		let [low, high] = [0, this.#addresses.length];
		while (low < high) {
			const middle = (low + high) >> 1;
			if (this.#addresses[middle]! <= location) low = middle + 1;
			else high = middle;
		}
		return this.#names[low - 1] ?? `0x${location.toString(16)}`;
	}
}
