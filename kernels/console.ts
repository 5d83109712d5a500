/** What a guest's serial console says: a bounded ring that is always kept, and the kernel's cries for help read from it. */

const RING_BYTES = 256 * 1024;
/** lines of console that an error quotes */
const QUOTED_LINES = 40;

/** How the kernel announces that something is wrong with itself; the first match of a line names the kind. */
const SPLATS: { kind: 'panic' | 'oops' | 'splat'; pattern: RegExp }[] = [
	{ kind: 'panic', pattern: /Kernel panic - not syncing: .*/ },
	{
		kind: 'oops',
		pattern:
			/(?:BUG: (?:unable to handle|kernel NULL pointer)|Oops: |invalid opcode: |general protection fault|kernel BUG at).*/,
	},
	{
		kind: 'splat',
		pattern:
			/(?:WARNING: CPU: \d+|WARNING: (?:.*suspicious RCU|possible (?:circular|recursive) locking)|BUG: |INFO: task .* blocked for more than|INFO: rcu.* self-detected stall|unregister_netdevice: waiting for).*/,
	},
];

export interface Splat {
	kind: 'panic' | 'oops' | 'splat';
	/** the line that announced it */
	line: string;
	/** the first symbols of the stack that followed, innermost first */
	fingerprint: string[];
}

export class Console {
	#text = '';

	append(bytes: Buffer | string): void {
		this.#text = (this.#text + bytes.toString()).slice(-RING_BYTES);
	}

	get text(): string {
		return this.#text;
	}

	/** The last lines, as an error quotes them. */
	get tail(): string[] {
		return this.#text.split(/\r?\n/).filter(Boolean).slice(-QUOTED_LINES);
	}
}

/** The gravest thing the kernel said of itself, or null: a panic is preceded by the oops that caused it. */
export function findSplat(text: string): Splat | null {
	const lines = text.split(/\r?\n/).map((line) => line.replace(/^\[\s*[\d.]+\](?:\[[^\]]*\])? /, ''));
	for (const { kind, pattern } of SPLATS) {
		const at = lines.findIndex((line) => pattern.test(line));
		if (at >= 0) return { kind, line: pattern.exec(lines[at]!)![0], fingerprint: fingerprint(lines.slice(at)) };
	}
	return null;
}

/** Functions that every stack of this kind has on top and that tell nothing. */
const EVERY_STACK =
	/^(?:dump_stack.*|_printk|panic|__warn|report_bug|handle_bug|exc_.*|asm_.*|show_stack.*|vpanic|oops_end|die.*|page_fault_oops)$/;

function fingerprint(lines: string[]): string[] {
	const from = lines.findIndex((line) => /Call Trace:/.test(line));
	const rip = /^RIP: \d+:(\w+)\+0x/.exec(lines.find((line) => /^RIP: /.test(line)) ?? '')?.[1];
	const stack = from < 0 ? [] : lines.slice(from, from + 40).map((line) => /^ (?:\? )?([\w.]+)\+0x/.exec(line)?.[1]);
	const symbols = [rip, ...stack].filter((symbol) => symbol !== undefined && !EVERY_STACK.test(symbol));
	return [...new Set(symbols as string[])].slice(0, 4);
}
