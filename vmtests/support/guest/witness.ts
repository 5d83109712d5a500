/** What became of the frames that a netns' packet sockets sent: bpf/witness.bpf.c, attached and read. */
import { closeSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressBytes, deviceName } from '../../../impl/addresses.ts';
import { attachRawTracepoint, attachTracing } from '../../../impl/libbpf/attach.ts';
import { packetPrograms, programById } from '../../../impl/libbpf/enumerate.ts';
import { type BpfMap, u32 } from '../../../impl/libbpf/map.ts';
import { BpfObject } from '../../../impl/libbpf/object.ts';
import { inNetns, NETNS_DIR, netnsNames } from '../../../impl/netns.ts';
import { bpfObjectPath } from '../../../impl/objects.ts';
import { type DropNames, dropNames } from './drops.ts';
import { explained } from './explain.ts';
import { dropCounts } from './lab.ts';

/** enum end of bpf/witness.bpf.c, in its order */
const ENDS = [
	'sent',
	'refused',
	'dropped',
	'consumed',
	'stack',
	'left',
	'left foreign',
	'other',
	'other refused',
] as const;
export type End = (typeof ENDS)[number];

export interface Witnessed {
	end: End;
	/** where: `host`, `web`, or an inode number; the device that the frame was on last, null where it was on none */
	netns: string;
	device: string | null;
	/** of a drop: the kernel's, or where it has none, the function that dropped it */
	reason: string | null;
	count: number;
}

/** Whose frames are followed, and what may leave: what else does is `left foreign`. */
export interface Subject {
	netns: string;
	ipv6: string;
	ipv4: string;
}

/** struct count_key { __u32 end, netns, ifindex, unused; __u64 reason; } → u64 */
const KEY_SIZE = 24;
const SUBJECT_SIZE = 40;

interface Witness {
	subject: BpfMap;
	counts: BpfMap;
	followed: BpfMap;
}

let witness: Witness | undefined;
let drops: DropNames | undefined;
/** ids of the programs whose verdict is known */
const judged = new Set<number>();

/** From now on. What was counted before is forgotten. Programs that are loaded later are not known: call it again. */
export function startWitness({ netns, ipv6, ipv4 }: Subject): Promise<void> {
	return explained(() => {
		witness ??= load();
		watchVerdicts(witness);
		for (const map of [witness.counts, witness.followed]) for (const key of map.keys()) map.delete(key);
		const bytes = Buffer.alloc(SUBJECT_SIZE);
		bytes.writeUInt32LE(statSync(`${NETNS_DIR}/${netns}`).ino);
		addressBytes(ipv6).copy(bytes, 8);
		addressBytes(ipv4).copy(bytes, 24);
		witness.subject.update(u32(0), bytes);
	});
}

export interface Testimony {
	seen: Witnessed[];
	/** frames that have not come to an end yet */
	underWay: number;
}

/** What was seen once all have come to an end, or after ten seconds: a neighbour that does not answer is asked for three. */
export async function settled(): Promise<Testimony> {
	for (let tries = 0; tries < 500 && witness!.followed.keys().length; tries++) await sleep(20);
	return readWitness();
}

/** What was seen since it was started. It goes on. */
export function readWitness(): Promise<Testimony> {
	return explained(() => {
		const { counts, followed } = witness!;
		const names = netnsNames();
		drops ??= dropNames();
		const { functionAt, reasons } = drops;
		const reasonOf = (reason: bigint) =>
			functionAt ? functionAt(reason) : (reasons.get(Number(reason)) ?? String(reason));
		const seen = counts.keys().map((key): Witnessed => {
			const end = ENDS[key.readUInt32LE(0)]!;
			const inode = key.readUInt32LE(4);
			const netns = names.get(inode) ?? String(inode);
			const ifindex = key.readUInt32LE(8);
			const named =
				ifindex && names.has(inode) ? inNetns(netns === 'host' ? null : netns, () => deviceName(ifindex)) : null;
			return {
				end,
				netns,
				device: named ?? (ifindex ? `device ${ifindex}` : null),
				reason: end === 'refused' || end === 'dropped' ? reasonOf(key.readBigUInt64LE(16)) : null,
				count: Number(counts.lookup(key)!.readBigUInt64LE(0)),
			};
		});
		return { seen, underWay: followed.keys().length };
	});
}

function load(): Witness {
	const object = BpfObject.open(bpfObjectPath('witness'))
		.loadOnly(['begin', 'on_kfree_skb', 'on_consume_skb', 'on_net_dev_start_xmit', 'on_ip6_rcv_core', 'on_ip_rcv_core'])
		.load();
	for (const tracepoint of ['kfree_skb', 'consume_skb', 'net_dev_start_xmit'])
		attachRawTracepoint(object.programFd(`on_${tracepoint}`), tracepoint);
	for (const name of ['begin', 'on_ip6_rcv_core', 'on_ip_rcv_core']) attachTracing(object.programFd(name), name);
	return {
		subject: object.map('subject', 4, SUBJECT_SIZE),
		counts: object.map('counts', KEY_SIZE, 8),
		followed: object.map('followed', 8, 8),
	};
}

function watchVerdicts({ subject, counts, followed }: Witness): void {
	for (const { id, name, hasBtf } of packetPrograms()) {
		if (judged.has(id) || !hasBtf) continue;
		judged.add(id);
		const fd = programById(id);
		try {
			const object = BpfObject.open(bpfObjectPath('witness')).loadOnly(['verdict']).traceProgram('verdict', fd, name);
			for (const map of [subject, counts, followed]) object.shareMap(map);
			object.load();
			attachTracing(object.programFd('verdict'), `fexit of ${name}`);
		} finally {
			closeSync(fd);
		}
	}
}

/** What the datapath's programs have dropped so far: by device and reason, e.g. `host:web SPOOFED_SOURCE`. */
export function dropsNow(): Record<string, number> {
	return Object.fromEntries(dropCounts().map(({ at, reason, count }) => [`${at} ${reason}`, count]));
}

/** And what since. */
export function dropsSince(before: Record<string, number>): Record<string, number> {
	const grown = Object.entries(dropsNow()).map(([what, count]) => [what, count - (before[what] ?? 0)] as const);
	return Object.fromEntries(grown.filter(([, count]) => count));
}
