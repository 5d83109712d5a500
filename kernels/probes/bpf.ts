/**
 * The least of bpf(2) that a probe needs, by way of libbpf.so.1: programs of a few instructions, loaded, attached and run. Everything
 * answers `-errno` where the kernel refuses, for a refusal is an answer here.
 */
import { closeSync } from 'node:fs';
import koffi from 'koffi';

const lib = koffi.load('libbpf.so.1');

const prog_load = lib.func(
	'int bpf_prog_load(int type, const char *name, const char *license, const void *insns, size_t count, void *opts)',
);
const link_create = lib.func('int bpf_link_create(int program, int target, int attach, const void *opts)');
const prog_attach = lib.func('int bpf_prog_attach_opts(int program, int target, int attach, const void *opts)');
const prog_detach = lib.func('int bpf_prog_detach_opts(int program, int target, int attach, const void *opts)');
const test_run = lib.func('int bpf_prog_test_run_opts(int program, void *opts)');
const probe_helper = lib.func('int libbpf_probe_bpf_helper(int type, int helper, const void *opts)');
const probe_map = lib.func('int libbpf_probe_bpf_map_type(int type, const void *opts)');
const probe_program = lib.func('int libbpf_probe_bpf_prog_type(int type, const void *opts)');
const load_vmlinux_btf = lib.func('void *btf__load_vmlinux_btf()');
const find_by_name = lib.func('int btf__find_by_name_kind(void *btf, const char *name, uint32_t kind)');
const set_print = lib.func('void *libbpf_set_print(void *print)');

// A refusal is an answer, and libbpf would tell stderr of each.
set_print(null);

/** enum bpf_prog_type */
export const PROGRAM = { kprobe: 2, classifier: 3, xdp: 6, cgroupSkb: 8, cgroupSockAddr: 18, tracing: 26, syscall: 31 };
/** enum bpf_attach_type */
export const ATTACH = {
	cgroupInetEgress: 1,
	cgroupInet6Bind: 9,
	fentry: 24,
	xdp: 37,
	kprobeMulti: 42,
	tcxIngress: 46,
	cgroupUnixConnect: 49,
	netkitPrimary: 54,
};
/** enum bpf_map_type */
export const MAP = { ringbuf: 27 };
/** enum bpf_func_id */
export const HELPER = { redirectNeigh: 152, redirectPeer: 155, getNetnsCookie: 122 };

/** struct bpf_insn: opcode, registers, offset, immediate. */
const insn = (code: number, dst = 0, imm = 0): Buffer => {
	const bytes = Buffer.alloc(8);
	bytes[0] = code;
	bytes[1] = dst;
	bytes.writeInt32LE(imm, 4);
	return bytes;
};
export const move = (register: number, value: number) => insn(0xb7, register, value);
export const helper = (id: number) => insn(0x85, 0, id);
export const exit = () => insn(0x95);

export interface ProgramOptions {
	attach?: number;
	/** BTF id of the kernel function that a tracing program is for */
	btfId?: number;
	flags?: number;
}

/** A loaded program's fd, or -errno. */
export function load(
	type: number,
	code: readonly Buffer[],
	{ attach = 0, btfId = 0, flags = 0 }: ProgramOptions = {},
): number {
	// struct bpf_prog_load_opts
	const opts = Buffer.alloc(48);
	opts.writeBigUInt64LE(BigInt(opts.length));
	opts.writeUInt32LE(attach, 12);
	opts.writeUInt32LE(flags, 20);
	opts.writeUInt32LE(btfId, 32);
	return prog_load(type, 'pathproof_probe', 'GPL', Buffer.concat(code), code.length, opts);
}

/** Loads a program that returns `value`, has `use` answer with its fd, and unloads it. */
export function withProgram<T>(
	type: number,
	value: number,
	options: ProgramOptions,
	use: (fd: number) => T,
): T | number {
	return using(load(type, [move(0, value), exit()], options), use);
}

/** Calls `use` with an fd and closes it; an errno is handed on. */
export function using<T>(fd: number, use: (fd: number) => T): T | number {
	if (fd < 0) return fd;
	try {
		return use(fd);
	} finally {
		closeSync(fd);
	}
}

/** 0 where the program can be linked there, or -errno; the link is gone again. */
export function tryLink(program: number, target: number, attach: number, flags = 0): number {
	// struct bpf_link_create_opts
	const opts = Buffer.alloc(32);
	opts.writeBigUInt64LE(BigInt(opts.length));
	opts.writeUInt32LE(flags, 8);
	return using(link_create(program, target, attach, opts), () => 0);
}

/** The same for kprobe.multi on one function. */
export function tryKprobeMulti(program: number, symbol: string): number {
	const name = Buffer.from(`${symbol}\0`);
	const names = Buffer.alloc(8);
	names.writeBigUInt64LE(koffi.address(name));
	const opts = Buffer.alloc(64);
	opts.writeBigUInt64LE(BigInt(opts.length));
	opts.writeUInt32LE(1, 36);
	opts.writeBigUInt64LE(koffi.address(names), 40);
	return using(link_create(program, 0, ATTACH.kprobeMulti, opts), () => 0);
}

/** 0 where the program can be attached without a link, with these BPF_F_ flags; it is detached again. */
export function tryAttach(program: number, target: number, attach: number, flags: number): number {
	// struct bpf_prog_attach_opts
	const opts = Buffer.alloc(32);
	opts.writeBigUInt64LE(BigInt(opts.length));
	opts.writeUInt32LE(flags, 8);
	const status: number = prog_attach(program, target, attach, opts);
	if (status === 0) prog_detach(program, target, attach, null);
	return status;
}

/** What the program returns for an empty frame, or -errno. */
export function runOnce(program: number): number {
	const frame = Buffer.alloc(64);
	// struct bpf_test_run_opts
	const opts = Buffer.alloc(80);
	opts.writeBigUInt64LE(BigInt(opts.length));
	opts.writeBigUInt64LE(koffi.address(frame), 8);
	opts.writeUInt32LE(frame.length, 24);
	const status: number = test_run(program, opts);
	return status < 0 ? status : opts.readUInt32LE(56);
}

export const hasHelper = (type: number, id: number): boolean => probe_helper(type, id, null) === 1;
export const hasMap = (type: number): boolean => probe_map(type, null) === 1;
export const hasProgram = (type: number): boolean => probe_program(type, null) === 1;

const BTF_KIND_FUNC = 12;
const ENOENT = 2;
let vmlinuxBtf: unknown;

/** The BTF id of a function of the kernel, or -errno. The BTF is read once: that is megabytes. */
export function vmlinuxFunction(name: string): number {
	vmlinuxBtf ??= load_vmlinux_btf();
	return vmlinuxBtf ? find_by_name(vmlinuxBtf, name, BTF_KIND_FUNC) : -ENOENT;
}
