/** What goes wrong in the datapath: what was tried, what the kernel or libbpf said, and what to type next. */

export interface DatapathErrorDetails {
	/** a command where there is one */
	hint?: string;
	/** what libbpf, the verifier or iproute2 said, last lines last */
	log?: string;
	/** the call is wrong, and nothing was tried */
	usage?: boolean;
	/** this machine is without something: a library, a program, a file system, the right to do it */
	lacking?: boolean;
	cause?: unknown;
}

export class DatapathError extends Error {
	override name = 'DatapathError';
	readonly shortMessage: string;
	readonly hint: string | undefined;
	readonly log: string | undefined;
	readonly usage: boolean;
	readonly lacking: boolean;

	constructor(shortMessage: string, { hint, log, usage = false, lacking = false, cause }: DatapathErrorDetails = {}) {
		super([shortMessage, log?.trimEnd(), hint && `try: ${hint}`].filter(Boolean).join('\n'), { cause });
		this.shortMessage = shortMessage;
		this.hint = hint;
		this.log = log;
		this.usage = usage;
		this.lacking = lacking;
	}
}
