/** Running a program once, on a frame of zeros, without attaching it. */
import { check, native } from './native.ts';

/** An Ethernet header and nothing behind it: the least that the kernel takes. */
const FRAME = Buffer.alloc(64);

/** Answers what the program returned. */
export function runOnce(program: number, what: string): number {
	const options = { sz: native.sizeofTestRun, data_in: FRAME, data_size_in: FRAME.length, repeat: 1 };
	check(native.bpf_prog_test_run_opts(program, options), `${what} cannot be run`);
	return (options as typeof options & { retval: number }).retval;
}
