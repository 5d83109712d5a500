/** What is loaded in this kernel: every program and every link of a device, ours or a stranger's. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { ATTACH_TYPE, type LinkKind } from './attach.ts';
import { check, native } from './native.ts';

const ENOENT = 2;
/** BPF_MPROG_MAX: what a device takes at one hook */
const MAX_ATTACHED = 64;

/** enum bpf_prog_type: those that see a packet on its way */
export const PROGRAM_TYPE = { sched_cls: 3, xdp: 6, cgroup_skb: 8 } as const;
export type ProgramType = keyof typeof PROGRAM_TYPE;

/** enum bpf_link_type: those that hang on a device */
const LINK_TYPE = { 6: 'xdp', 11: 'tcx', 13: 'netkit' } as const;
export type DeviceLinkType = (typeof LINK_TYPE)[keyof typeof LINK_TYPE];

export interface ProgramInfo {
	id: number;
	type: ProgramType;
	/** the function's full name from its BTF; else the kernel's, cut at 15 characters, or empty */
	name: string;
	/** without BTF no other program can attach to it */
	hasBtf: boolean;
}

export interface DeviceLink {
	id: number;
	type: DeviceLinkType;
	program: number;
	ifindex: number;
	/** 0 for XDP; else as in ATTACH_TYPE */
	attachType: number;
}

/** The tc (netkit included), XDP and cgroup_skb programs now loaded. One that goes while this looks is left out. */
export function packetPrograms(): ProgramInfo[] {
	return ids(native.bpf_prog_get_next_id).flatMap((id) => {
		const fd: number = native.bpf_prog_get_fd_by_id(id);
		if (fd === -ENOENT) return [];
		check(fd, `program ${id}`);
		try {
			const info = programInfo(fd, id);
			return info ? [info] : [];
		} finally {
			closeSync(fd);
		}
	});
}

export function deviceLinks(): DeviceLink[] {
	return ids(native.bpf_link_get_next_id).flatMap((id) => {
		const fd: number = native.bpf_link_get_fd_by_id(id);
		if (fd === -ENOENT) return [];
		check(fd, `link ${id}`);
		try {
			return deviceLink(fd, id);
		} finally {
			closeSync(fd);
		}
	});
}

/** The programs attached to a device of this netns by `kind`, by a link or without one. Empty where the kernel or device lacks it. */
export function attachedPrograms(ifindex: number, kind: Exclude<LinkKind, 'xdp'>): number[] {
	const ids = Buffer.alloc(4 * MAX_ATTACHED);
	const count = [MAX_ATTACHED];
	const status: number = native.bpf_prog_query(ifindex, ATTACH_TYPE[kind], 0, [0], ids, count);
	return status < 0 ? [] : Array.from({ length: count[0]! }, (_, index) => ids.readUInt32LE(4 * index));
}

export interface AttachedProgram {
	program: number;
	/** the id of its link; 0: it was attached without one */
	link: number;
}

/**
 * The programs at a TCX or netkit hook of a device of this thread's netns, in the order in which they run. `attachType`: as in
 * ATTACH_TYPE. Empty where there is no such device.
 */
export function attachedInOrder(ifindex: number, attachType: number): AttachedProgram[] {
	const [programs, links] = [Buffer.alloc(4 * MAX_ATTACHED), Buffer.alloc(4 * MAX_ATTACHED)];
	// struct bpf_prog_query_opts { size_t sz; …; at 16 __u32 *prog_ids; __u32 count; at 40 __u32 *link_ids; … }
	const opts = Buffer.alloc(64);
	opts.writeBigUInt64LE(64n, 0);
	opts.writeBigUInt64LE(koffi.address(programs), 16);
	opts.writeUInt32LE(MAX_ATTACHED, 24);
	opts.writeBigUInt64LE(koffi.address(links), 40);
	const status: number = native.bpf_prog_query_opts(ifindex, attachType, opts);
	if (status < 0) return [];
	return Array.from({ length: opts.readUInt32LE(24) }, (_, index) => ({
		program: programs.readUInt32LE(4 * index),
		link: links.readUInt32LE(4 * index),
	}));
}

export function programById(id: number): number {
	return check(native.bpf_prog_get_fd_by_id(id), `program ${id}`);
}

/** By the link's own file descriptor; null for one that hangs on no device's kind of hook. */
export function linkInfo(fd: number): DeviceLink | null {
	const info = objectInfo(fd, Buffer.alloc(64));
	return deviceLink(fd, info.readUInt32LE(4))[0] ?? null;
}

/** Of any link's own file descriptor: its id and its program's. */
export function linkIdentity(fd: number): { id: number; program: number } {
	const info = objectInfo(fd, Buffer.alloc(64));
	return { id: info.readUInt32LE(4), program: info.readUInt32LE(8) };
}

/** The id; the tag: the hash of the instructions, equal for what is loaded twice; the name, cut at 15 characters. */
export function programIdentity(fd: number): { id: number; tag: string; name: string } {
	const info = objectInfo(fd, Buffer.alloc(INFO.end));
	return { id: info.readUInt32LE(4), tag: info.toString('hex', 8, 16), name: shortName(info) };
}

/** Bytes of a key and of a value, as the kernel has them; struct bpf_map_info { __u32 type, id, key_size, value_size; … } */
export function mapSizes(fd: number): [key: number, value: number] {
	const info = objectInfo(fd, Buffer.alloc(64));
	return [info.readUInt32LE(8), info.readUInt32LE(12)];
}

/** Of a link's own file descriptor. 0: its device is gone, and the link attaches nothing any more. */
export function linkedDevice(fd: number): number {
	return deviceLink(fd, 0)[0]?.ifindex ?? 0;
}

/** Of a cgroup's link, by its own file descriptor: its id and its program's, and the cgroup's, 0 where that is gone. */
export function cgroupLinkInfo(fd: number): { id: number; program: number; cgroup: bigint } {
	const info = objectInfo(fd, Buffer.alloc(64));
	return { id: info.readUInt32LE(4), program: info.readUInt32LE(8), cgroup: info.readBigUInt64LE(16) };
}

/** struct bpf_link_info { __u32 type, id, prog_id; union { struct { __u32 ifindex, attach_type; } } } */
function deviceLink(fd: number, id: number): DeviceLink[] {
	const info = objectInfo(fd, Buffer.alloc(64));
	const type = LINK_TYPE[info.readUInt32LE(0) as keyof typeof LINK_TYPE];
	if (!type) return [];
	const attachType = type === 'xdp' ? 0 : info.readUInt32LE(20);
	return [{ id, type, program: info.readUInt32LE(8), ifindex: info.readUInt32LE(16), attachType }];
}

/** Offsets in struct bpf_prog_info, whose fields only ever grow in number. */
const INFO = {
	type: 0,
	name: 64,
	btf: 128,
	funcInfoSize: 132,
	funcInfo: 136,
	funcInfoCount: 144,
	runTime: 192,
	runs: 200,
	misses: 208,
	end: 232,
} as const;

function programInfo(fd: number, id: number): ProgramInfo | null {
	const info = objectInfo(fd, Buffer.alloc(INFO.end));
	const type = (Object.keys(PROGRAM_TYPE) as ProgramType[]).find(
		(name) => PROGRAM_TYPE[name] === info.readUInt32LE(INFO.type),
	);
	if (!type) return null;
	const short = shortName(info);
	const btf = info.readUInt32LE(INFO.btf);
	if (!btf || !info.readUInt32LE(INFO.funcInfoCount)) return { id, type, name: short, hasBtf: false };
	return { id, type, name: functionName(fd, btf, info.readUInt32LE(INFO.funcInfoSize)) ?? short, hasBtf: true };
}

function shortName(info: Buffer): string {
	return info.toString('latin1', INFO.name, INFO.name + 16).replace(/\0.*$/s, '');
}

/**
 * How often a program was not run because it, or another on that CPU, was running already: since 5.12 (9ed9e9ba2337), 0 before.
 */
export function missedRuns(program: number): number {
	return Number(objectInfo(program, Buffer.alloc(INFO.end)).readBigUInt64LE(INFO.misses));
}

/** How often it ran while the kernel kept statistics (kernel.bpf_stats_enabled), and for how many nanoseconds in all. */
export function programRunTime(program: number): [runs: number, nanoseconds: number] {
	const info = objectInfo(program, Buffer.alloc(INFO.end));
	return [Number(info.readBigUInt64LE(INFO.runs)), Number(info.readBigUInt64LE(INFO.runTime))];
}

/** The first function of a program is the program itself; struct bpf_func_info { __u32 insn_off, type_id; }. */
function functionName(fd: number, btfId: number, funcInfoSize: number): string | null {
	const first = Buffer.alloc(funcInfoSize);
	const request = Buffer.alloc(INFO.end);
	request.writeUInt32LE(funcInfoSize, INFO.funcInfoSize);
	request.writeBigUInt64LE(koffi.address(first), INFO.funcInfo);
	request.writeUInt32LE(1, INFO.funcInfoCount);
	objectInfo(fd, request);
	const btf: bigint | null = native.btf__load_from_kernel_by_id(btfId);
	if (!btf) return null;
	try {
		const type: bigint | null = native.btf__type_by_id(btf, first.readUInt32LE(4));
		return type && native.btf__name_by_offset(btf, koffi.decode(type, 'uint32_t'));
	} finally {
		native.btf__free(btf);
	}
}

function objectInfo(fd: number, info: Buffer): Buffer {
	check(native.bpf_obj_get_info_by_fd(fd, info, [info.length]), 'look at a BPF object');
	return info;
}

function ids(next: (after: number, id: number[]) => number): number[] {
	const found: number[] = [];
	for (let last = 0; ; ) {
		const id = [0];
		const status = next(last, id);
		if (status === -ENOENT) return found;
		check(status, 'list BPF objects');
		last = id[0]!;
		found.push(last);
	}
}
