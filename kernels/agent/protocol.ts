/** What host and agent ask of each other. Everything travels as msgpack: plain data and bytes. */
import type { ExecOptions, ExecResult } from '../vm.ts';

/** How the agent introduces itself. */
export interface Hello {
	/** `uname -r` */
	release: string;
	/** milliseconds from the guest kernel's start to the agent's readiness */
	bootMs: number;
	/** why libbpf.so.1 could not be loaded; null where it was */
	libbpfError: string | null;
}

/** One record of the kernel's log. */
export interface KernelMessage {
	sequence: number;
	/** 0 (emergency) to 7 (debug) */
	level: number;
	/** microseconds since the guest's boot */
	time: number;
	text: string;
}

export interface KernelMessages {
	/** the sequence number that comes after the last one: give it to the next call */
	next: number;
	messages: KernelMessage[];
}

export type OutputStream = 'stdout' | 'stderr';

/** Answered by the agent in the guest. */
export interface AgentFunctions {
	ping(): Hello;
	/** Run a program to its end. A status other than 0 is an answer; rejects when it cannot be started or is timed out. */
	run(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
	/** Start a program and answer its pid; its output and end go to the host's `processOutput` and `processEnded`. */
	spawn(argv: readonly string[], options?: ExecOptions): Promise<number>;
	/** Write to a spawned program's standard input, which `keepInput` left open; null ends it. A program that has ended is no error. */
	input(pid: number, bytes: Uint8Array | null): Promise<void>;
	/** Signal a program and all it started. A program that has ended already is no error. */
	kill(pid: number, signal?: string): void;
	readFile(path: string): Promise<Uint8Array>;
	/** Makes the folders on the way. */
	writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void>;
	/** Nanoseconds since 1970, in decimal: a restored guest's clock stands where the template's was saved. */
	setClock(unixNanoseconds: string): void;
	/** Write files below `/pathproof/payload`, by relative path. Modules must be plain JavaScript, whatever their suffix. */
	install(files: Record<string, string | Uint8Array>): void;
	/** Import a module of the payload and call what it exports as `name`, in the agent's own process. */
	call(module: string, name: string, args: unknown[]): Promise<unknown>;
	/** The kernel's log from sequence number `since` on. */
	dmesg(since?: number): KernelMessages;
}

/** Answered by the host. */
export interface HostFunctions {
	ready(hello: Hello): void;
	processOutput(pid: number, stream: OutputStream, bytes: Uint8Array): void;
	processEnded(pid: number, code: number | null, signal: string | null): void;
}

/** Where the agent and what it imports lie in the guest: the repository's own tree below it. */
export const GUEST_HOME = '/pathproof';
/** A tmpfs: where `install` writes, and `call` imports from. */
export const GUEST_PAYLOAD = `${GUEST_HOME}/payload`;
/** The name of the virtio-serial port. */
export const PORT_NAME = 'pathproof';
