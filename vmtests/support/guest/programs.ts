/** Every tc, netkit, XDP and cgroup_skb program of this guest, ours or a stranger's: traced at its end, named with how it is attached. */
import { closeSync } from 'node:fs';
import { ATTACH_TYPE, attachTracing } from '../../../impl/libbpf/attach.ts';
import {
	attachedPrograms,
	type DeviceLink,
	deviceLinks,
	type ProgramInfo,
	type ProgramType,
	packetPrograms,
	programById,
} from '../../../impl/libbpf/enumerate.ts';
import type { BpfMap } from '../../../impl/libbpf/map.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { inNetns } from '../../../impl/netns.ts';
import { bpfObjectPath } from '../../../impl/objects.ts';
import type { ProgramPlace } from '../trace/events.ts';
import type { ProgramRun, UntracedProgram } from '../trace/types.ts';

/** As many as trace_program.bpf.c has. */
const SLOTS = 8;
/** struct target { __u32 program, context; } */
const TARGET_SIZE = 8;
/** enum context of trace_program.bpf.c */
const CONTEXT: Record<ProgramType, number> = { sched_cls: 0, xdp: 1, cgroup_skb: 2 };

const known = new Map<number, ProgramInfo>();
/** by id */
const untraced = new Map<number, UntracedProgram>();
/** File descriptors of the programs that watch: the kernel counts what they missed. */
const watching: number[] = [];

/** Watches the end of every program that is not watched yet. */
export function tracePrograms(maps: readonly BpfMap[]): void {
	const fresh = packetPrograms().filter(({ id }) => !known.has(id));
	for (const program of fresh) known.set(program.id, program);
	const traceable = fresh.filter((program) => {
		if (!program.hasBtf) untraced.set(program.id, { name: program.name, why: 'it was loaded without BTF' });
		return program.hasBtf;
	});
	for (let at = 0; at < traceable.length; at += SLOTS) traceSome(traceable.slice(at, at + SLOTS), maps);
}

/** All at once, since each load reads the kernel's BTF; one by one where one of them cannot be traced. */
function traceSome(programs: ProgramInfo[], maps: readonly BpfMap[]): void {
	try {
		traceTogether(programs, maps);
	} catch (error) {
		const [only] = programs;
		if (programs.length > 1) for (const program of programs) traceSome([program], maps);
		else if (only) untraced.set(only.id, { name: only.name, why: String(error) });
	}
}

function traceTogether(programs: ProgramInfo[], maps: readonly BpfMap[]): void {
	const slots = programs.map((program, index) => ({ program, slot: `slot_${index}`, fd: programById(program.id) }));
	const targets = Buffer.alloc(SLOTS * TARGET_SIZE);
	programs.forEach(({ id, type }, index) => {
		targets.writeUInt32LE(id, index * TARGET_SIZE);
		targets.writeUInt32LE(CONTEXT[type], index * TARGET_SIZE + 4);
	});
	try {
		using object = BpfObject.open(bpfObjectPath('trace_program'))
			.loadOnly(slots.map(({ slot }) => slot))
			.setData('.rodata', targets);
		for (const map of maps) object.shareMap(map);
		for (const { slot, fd, program } of slots) object.traceProgram(slot, fd, program.name);
		object.load();
		for (const { slot, program } of slots) {
			attachTracing(object.programFd(slot), `fexit of ${program.name}`);
			watching.push(object.ownProgramFd(slot));
		}
	} finally {
		for (const { fd } of slots) closeSync(fd);
	}
}

/** Those that run unseen: because they cannot be traced, or came after the trace had begun. */
export function untracedPrograms(): UntracedProgram[] {
	const late = packetPrograms().filter(({ id }) => !known.has(id));
	return [...untraced.values(), ...late.map(({ name }) => ({ name, why: 'it was loaded while the trace ran' }))];
}

export function watchingPrograms(): readonly number[] {
	return watching;
}

const HOOK_KINDS = ['tcx/ingress', 'tcx/egress', 'netkit/peer', 'netkit/primary'] as const;

/** By attach type; the direction is what the packet says, but for netkit: what that runs is past the pair already. */
const ATTACHED: Record<number, Pick<ProgramRun, 'attach'> & Partial<ProgramRun>> = {
	[ATTACH_TYPE['tcx/ingress']]: { attach: 'tcx' },
	[ATTACH_TYPE['tcx/egress']]: { attach: 'tcx' },
	[ATTACH_TYPE['netkit/peer']]: { attach: 'netkit', direction: 'ingress' },
	[ATTACH_TYPE['netkit/primary']]: { attach: 'netkit', direction: 'ingress' },
};

/** TC_ACT_*, TCX_* and NETKIT_* (linux/pkt_cls.h, linux/bpf.h); -1 leaves it to the next program, filter or policy. */
const TC_VERDICTS: Record<number, string> = { [-1]: 'next', 0: 'pass', 2: 'drop', 7: 'redirect' };
/** enum xdp_action */
const XDP_VERDICTS: Record<number, string> = { 0: 'aborted', 1: 'drop', 2: 'pass', 3: 'tx', 4: 'redirect' };
/** Bit 1 of an egress program's answer is about congestion. */
const CGROUP_VERDICTS: Record<number, string> = { 0: 'drop', 1: 'pass', 2: 'drop', 3: 'pass' };
const VERDICTS: Record<ProgramType, Record<number, string>> = {
	sched_cls: TC_VERDICTS,
	xdp: XDP_VERDICTS,
	cgroup_skb: CGROUP_VERDICTS,
};

/** Answers how to say what a program did, with the attachments as they are now. `netns` is its name, where it has one. */
export function programRuns(): (place: Omit<ProgramPlace, keyof ProgramRun>, netns: string | undefined) => ProgramRun {
	const links = Map.groupBy(deviceLinks(), ({ program }) => program);
	return ({ id, ifindex, ingress, result }, netns) => {
		const program = known.get(id);
		const type = program?.type ?? 'sched_cls';
		const run = { name: program?.name || null, verdict: VERDICTS[type][result] ?? String(result) };
		const direction = ingress ? 'ingress' : 'egress';
		if (type === 'xdp') return { ...run, attach: 'xdp', direction };
		if (type === 'cgroup_skb') return { ...run, attach: 'cgroup', direction };
		const link = linkOf(links.get(id) ?? [], ifindex);
		const hung = link?.attachType ?? unlinked(id, ifindex, netns);
		return { ...run, attach: 'clsact', direction, ...ATTACHED[hung] };
	};
}

const NOT_ATTACHED = 0;

/** Attached without a link: the device is asked. A filter's program, which no device knows of, is on none. */
function unlinked(id: number, ifindex: number, netns: string | undefined): number {
	const ask = () => HOOK_KINDS.find((kind) => attachedPrograms(ifindex, kind).includes(id));
	const kind = netns === undefined ? undefined : inNetns(netns === 'host' ? null : netns, ask);
	return kind ? ATTACH_TYPE[kind] : NOT_ATTACHED;
}

/** A netkit link hangs on the primary, while its program may see the other end. */
function linkOf(links: DeviceLink[], ifindex: number): DeviceLink | undefined {
	return links.find((link) => link.ifindex === ifindex) ?? links.find(({ type }) => type === 'netkit');
}
