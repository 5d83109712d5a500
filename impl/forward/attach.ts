/** Where the programs of the datapath are attached, by the newest way that the kernel has; and how they are found again. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { deviceIndex, deviceName } from '../addresses.ts';
import { DatapathError } from '../errors.ts';
import {
	attachClsact,
	attachTracing,
	detachClsact,
	detachLink,
	getPinned,
	hasLinkKind,
	type LinkKind,
	linkOutput,
	linkProgram,
	pin,
	queryClsact,
	removeClsact,
	type TcFilter,
} from '../libbpf/attach.ts';
import { linkedDevice, programById, programIdentity } from '../libbpf/enumerate.ts';
import { PIN_ROOT } from './datapath.ts';

const ATTACHMENTS = join(PIN_ROOT, 'attachments');

/**
 * `from-container`: what a container sends, seen at its host end. `from-wire` and `to-wire`: what an uplink receives and sends.
 * `slave-egress` and `slave-ingress`: the same of an ipvlan container's own device, in whatever netns.
 */
export type HookPoint = 'from-container' | 'from-wire' | 'to-wire' | 'slave-egress' | 'slave-ingress';
/** Of no device: the functions of the kernel that a program names itself, and what this host sends by IP, of either family. */
export type HostKind = 'tracing' | 'output6' | 'output4';
export type AttachKind = 'netkit' | 'tcx' | 'clsact' | HostKind;

interface Way {
	kind: Exclude<AttachKind, HostKind>;
	/** null: no link, a filter that whoever may change the device can take away */
	link: LinkKind | null;
}

const NETKIT: Way = { kind: 'netkit', link: 'netkit/peer' };
/** 6.6 (e420bed02507): links before the qdisc, which nobody else can replace, and which move along with their device */
const TCX_INGRESS: Way = { kind: 'tcx', link: 'tcx/ingress' };
const TCX_EGRESS: Way = { kind: 'tcx', link: 'tcx/egress' };
/** 4.5 (1f211a1b929c): all that 5.10 and 6.1 have */
const CLSACT: Way = { kind: 'clsact', link: null };

/** By the point and the device's own hook; the first that the kernel has is taken. */
const WAYS: Record<HookPoint, Record<'netkit' | 'tc', Way[]>> = {
	'from-container': { netkit: [NETKIT], tc: [TCX_INGRESS, CLSACT] },
	'from-wire': { netkit: [TCX_INGRESS], tc: [TCX_INGRESS, CLSACT] },
	'to-wire': { netkit: [TCX_EGRESS], tc: [TCX_EGRESS] },
	'slave-egress': { netkit: [TCX_EGRESS], tc: [TCX_EGRESS] },
	'slave-ingress': { netkit: [TCX_INGRESS], tc: [TCX_INGRESS] },
};

/** Where the datapath's filter stands on a clsact qdisc; what is to run before it takes the priorities below. */
const OWN_PRIORITY = 10;
/** The one that is a filter on a device which outlives the containers. */
const AT_UPLINK = 'ingress_peer';

export interface Attachment {
	program: string;
	kind: AttachKind;
	/** 0: of no device */
	ifindex: number;
	/** of a filter: lower runs before; 0 for a link, but of two on the host one has 1 */
	priority: number;
	/** whose device it is, of an ipvlan container's; null: the host's, or one that an earlier version attached */
	container: string | null;
	/** below PIN_ROOT; of a filter, which has no link, it is the program that is pinned */
	pin: string;
}

export interface Place {
	device: string;
	hook: 'netkit' | 'tc';
	point: HookPoint;
	/** before all that this datapath has attached there */
	first?: boolean;
}

/** Attaches once: a second call for the same program and device finds the first. */
export function attach(
	program: { name: string; fd: number },
	{ device, hook, point, first = false }: Place,
): Attachment {
	const ifindex = deviceIndex(device);
	const here = first ? attachments(ifindex) : [];
	const container = point.startsWith('slave-') ? device : null;
	const present = first
		? here.find((one) => one.program === program.name)
		: attachmentTo(ifindex, program.name, container);
	if (present && isAlive(present)) return present;
	// an interrupted call left word of what it did not do, or had undone
	if (present) unlinkSync(present.pin);
	const ways = WAYS[point][hook];
	const way = ways.find(({ link }) => link === null || hasLinkKind(program.fd, link)) ?? ways[0]!;
	const priority = way.link ? 0 : first ? Math.min(OWN_PRIORITY, ...here.map((one) => one.priority)) - 1 : OWN_PRIORITY;
	mkdirSync(ATTACHMENTS, { recursive: true });
	const attachment = attachmentAs(program.name, ifindex, way.kind, priority, container);
	if (way.link === null) attachFilter(program.fd, attachment, point);
	else {
		const link = linkProgram(program.fd, ifindex, way.link, first ? 'first' : 'none');
		pin(link, attachment.pin);
		closeSync(link);
	}
	return attachment;
}

/** What else this host has at its output, such as rules of nftables, comes after. */
const BEFORE_ALL = -500;
const OUTPUT_FAMILY = { output6: 6, output4: 4 } as const;

export function isOfHost(kind: AttachKind): kind is HostKind {
	return kind === 'tracing' || kind in OUTPUT_FAMILY;
}

/** Attaches once, for all containers of this host. */
export function attachToHost(program: { name: string; fd: number }, kind: HostKind): void {
	if (attachments(0).some((one) => one.program === program.name && one.kind === kind)) return;
	mkdirSync(ATTACHMENTS, { recursive: true });
	linkToHost(program.fd, attachmentAs(program.name, 0, kind, 0));
}

/** A link of the host takes no other program: that gets a link beside it, and this one goes. Together they do what each does alone. */
export function replaceOnHost(program: number, one: Attachment): void {
	const next = attachmentAs(one.program, 0, one.kind, one.priority ? 0 : 1);
	// of a call that was killed between
	if (existsSync(next.pin)) unlinkSync(next.pin);
	linkToHost(program, next);
	unlinkSync(one.pin);
}

function linkToHost(program: number, { kind, program: name, priority, pin: path }: Attachment): void {
	const link =
		kind === 'tracing'
			? attachTracing(program, name)
			: linkOutput(program, OUTPUT_FAMILY[kind as keyof typeof OUTPUT_FAMILY], BEFORE_ALL + priority);
	pin(link, path);
	closeSync(link);
}

/** bpffs takes no dots in a name, and device names have them: hence the index. */
function attachmentAs(
	program: string,
	ifindex: number,
	kind: AttachKind,
	priority: number,
	container: string | null = null,
): Attachment {
	const words = [program, ifindex, kind, priority, ...(container === null ? [] : [container])];
	return { program, kind, ifindex, priority, container, pin: join(ATTACHMENTS, words.join('@')) };
}

/** A program of the datapath on one device, found without a look at all others; those that came before it are not known by this. */
export function attachmentTo(
	ifindex: number,
	program: string,
	container: string | null = null,
): Attachment | undefined {
	return [
		attachmentAs(program, ifindex, 'netkit', 0),
		attachmentAs(program, ifindex, 'tcx', 0),
		...(container === null ? [] : [attachmentAs(program, ifindex, 'tcx', 0, container)]),
		attachmentAs(program, ifindex, 'clsact', OWN_PRIORITY),
	].find(({ pin }) => existsSync(pin));
}

/** Pinned first: a link goes with the process that is killed before it pins it, a filter would stay, and nobody knew of it. */
function attachFilter(program: number, attachment: Attachment, point: HookPoint): void {
	const filter = filterOf(attachment);
	refuseStranger(attachment);
	pin(program, attachment.pin);
	try {
		// the qdisc of a container's own device goes with that
		if (point === 'from-wire' && queryClsact(filter) === 'no clsact')
			mkdirSync(qdiscMark(filter.ifindex), { recursive: true });
		attachClsact(program, filter);
	} catch (error) {
		unlinkSync(attachment.pin);
		throw error;
	}
}

/** A filter takes the place of the one that stands there: only of ours, whose pin was lost. */
function refuseStranger(attachment: Attachment): void {
	const name = programAt(filterOf(attachment));
	if (name === null || name === attachment.program) return;
	const device = deviceName(attachment.ifindex);
	throw new DatapathError(`a filter of somebody else's, ${name}, stands where ${attachment.program} is to be`, {
		log: `on ${device}, ingress, of priority ${attachment.priority} and handle 1`,
		hint: `tc filter show dev ${device} ingress; give it another priority`,
	});
}

/** The name of the program that a filter runs; null: there is no such filter. */
function programAt(filter: TcFilter): string | null {
	const id = queryClsact(filter);
	if (typeof id !== 'number') return null;
	const fd = programById(id);
	try {
		return programIdentity(fd).name;
	} finally {
		closeSync(fd);
	}
}

/** Directories named by devices' indexes: the clsact qdisc of that device was made here, and goes with the last filter. */
const QDISCS = join(PIN_ROOT, 'qdiscs');

function qdiscMark(ifindex: number): string {
	return join(QDISCS, String(ifindex));
}

function ownQdiscs(): number[] {
	return existsSync(QDISCS) ? readdirSync(QDISCS).map(Number) : [];
}

/** Those that were made here and have no filter of this datapath's any more. */
export function unusedQdiscs(): number[] {
	const used = new Set(attachments().flatMap(({ kind, ifindex }) => (kind === 'clsact' ? [ifindex] : [])));
	return ownQdiscs().filter((ifindex) => !used.has(ifindex) && unpinned(ifindex) === null);
}

/** On an uplink, a filter of this datapath's whose pin was lost. */
function unpinned(ifindex: number): TcFilter | null {
	const filter = filterOf({ ifindex, priority: OWN_PRIORITY });
	return programAt(filter) === AT_UPLINK ? filter : null;
}

/** With all that was made for it, and filters whose pins were lost. */
export function detachAll(): void {
	for (const one of attachments()) detachOne(one);
	for (const filter of ownQdiscs().map(unpinned)) if (filter) detachClsact(filter);
	removeUnusedQdiscs();
}

/** Takes away what `unusedQdiscs` answers, but for those that have somebody else's filters now. */
export function removeUnusedQdiscs(): void {
	for (const ifindex of unusedQdiscs()) {
		const device = deviceName(ifindex);
		if (device && !hasFilters(device)) removeClsact(ifindex);
		rmdirSync(qdiscMark(ifindex));
	}
	if (existsSync(QDISCS) && !readdirSync(QDISCS).length) rmdirSync(QDISCS);
}

/** Anybody's. */
function hasFilters(device: string): boolean {
	return ['ingress', 'egress'].some((side) => {
		const args = ['-j', 'filter', 'show', 'dev', device, side];
		const { stdout, error: cause } = spawnSync('tc', args, { encoding: 'utf8' });
		// without an answer a qdisc would go with somebody else's filters
		if (cause) throw new DatapathError('tc cannot be run', { lacking: true, hint: 'apt-get install iproute2', cause });
		return !/^\s*(\[\s*\]\s*)?$/.test(stdout ?? '');
	});
}

/** All that this datapath has attached on this host, or to one of its devices. */
export function attachments(device?: number): Attachment[] {
	if (!existsSync(ATTACHMENTS)) return [];
	const all = readdirSync(ATTACHMENTS).map((name) => {
		const [program = '', ifindex, kind, priority, container = null] = name.split('@');
		return {
			program,
			ifindex: Number(ifindex),
			kind: kind as AttachKind,
			priority: Number(priority),
			container,
			pin: join(ATTACHMENTS, name),
		};
	});
	return device === undefined ? all : all.filter(({ ifindex }) => ifindex === device);
}

/** `deviceGone`: the device took its attachments along, and only the record is left. */
export function detachOne(attachment: Attachment, deviceGone = false): void {
	// a link of the host goes with its pin
	if (!deviceGone && !isOfHost(attachment.kind)) {
		if (attachment.kind === 'clsact') detachClsact(filterOf(attachment));
		else withPinned(attachment.pin, detachLink);
	}
	unlinkSync(attachment.pin);
	if (attachment.kind === 'clsact') removeUnusedQdiscs();
}

/** Whether packets meet its program. */
export function isAlive(attachment: Attachment): boolean {
	if (attachment.kind !== 'clsact') return !isGone(attachment);
	return withPinned(attachment.pin, (fd) => queryClsact(filterOf(attachment)) === programIdentity(fd).id);
}

/** Whether its device has gone, and only the record is left. */
export function isGone({ kind, ifindex, pin }: Attachment): boolean {
	if (isOfHost(kind)) return false;
	if (kind === 'clsact') return !deviceName(ifindex);
	const fd = getPinned(pin);
	try {
		return linkedDevice(fd) === 0;
	} finally {
		closeSync(fd);
	}
}

export function withPinned<T>(path: string, act: (fd: number) => T): T {
	const fd = getPinned(path);
	try {
		return act(fd);
	} finally {
		closeSync(fd);
	}
}

export function filterOf({ ifindex, priority }: Pick<Attachment, 'ifindex' | 'priority'>): TcFilter {
	return { ifindex, direction: 'ingress', handle: 1, priority };
}
