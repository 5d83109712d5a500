/** Which programs are in a container's way: those that ought to be, and those that are. */
import { findDevice } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import { isIpvlan } from '../devices/ipvlan.ts';
import {
	type Attachment,
	attachments,
	attachmentTo,
	filterOf,
	type HostKind,
	isOfHost,
	withPinned,
} from '../forward/attach.ts';
import { isLoaded, pinPath } from '../forward/datapath.ts';
import { queryClsact } from '../libbpf/attach.ts';
import { type AttachedProgram, attachedInOrder, linkIdentity, linkInfo, programIdentity } from '../libbpf/enumerate.ts';
import { FROM_CONTAINER } from '../plan/pair.ts';
import { HOST_PROGRAMS } from '../plan/slave.ts';

/** A program, and what it is attached to: a device of the host's, the container's own inside its netns, or the host as a whole. */
export interface Placed {
	program: string;
	on: { device: string } | 'eth0 inside' | HostKind;
}

export function expectedPrograms(spec: ContainerSpec): Placed[] {
	const { name, device, forward, guard } = spec;
	const uplinks = spec.uplinks.map((uplink) => uplink.device);
	if (isIpvlan(device)) {
		if (!guard) return [];
		return [
			...['slave_guard', 'slave_ingress'].map((program) => ({ program, on: 'eth0 inside' as const })),
			...HOST_PROGRAMS.map(([program, on]) => ({ program, on })),
			...['uplink_guard', 'ingress_peer', 'uplink_ingress'].map((program) => ({
				program,
				on: { device: uplinks[0]! },
			})),
		];
	}
	if (!pairKind(device)) return [];
	const own = { program: FROM_CONTAINER[forward as keyof typeof FROM_CONTAINER], on: { device: name } };
	if (forward === 'stack') return guard ? [own] : [];
	return [own, ...uplinks.map((uplink) => ({ program: 'ingress_peer', on: { device: uplink } }))];
}

/** `slave`: the index of an ipvlan container's device, where that is known. */
export function isThere({ program, kind, ifindex }: Attachment, placed: Placed, slave: number | null = null): boolean {
	if (program !== placed.program) return false;
	if (typeof placed.on === 'object') return ifindex === findDevice(placed.on.device);
	return placed.on === 'eth0 inside' ? ifindex === slave : kind === placed.on;
}

/** `slave`: the index of an ipvlan container's device, which is in no netns that is looked at here. */
export function attachmentsOf(spec: ContainerSpec, slave: number | null = null): Attachment[] {
	return expectedPrograms(spec).flatMap((placed) => {
		const { program, on } = placed;
		if (typeof on === 'string' && on !== 'eth0 inside') return attachments(0).filter((one) => isThere(one, placed));
		const ifindex = typeof on === 'object' ? findDevice(on.device) : slave;
		if (ifindex !== null) return attachmentTo(ifindex, program, on === 'eth0 inside' ? spec.name : null) ?? [];
		// those of an earlier version do not tell whose they are: the last that was made is the newest
		return attachments()
			.filter((one) => one.program === program && (one.container ?? spec.name) === spec.name)
			.sort((a, b) => b.ifindex - a.ifindex)
			.slice(0, 1);
	});
}

/** What the kernel says of an attachment. */
export interface Attached extends Attachment {
	/** id of the link; null of a filter */
	link: number | null;
	/** of the program that runs there; null: none does */
	id: number | null;
}

export function lookAt(attachment: Attachment): Attached {
	return withPinned(attachment.pin, (fd) => {
		if (attachment.kind === 'clsact') {
			const id = queryClsact(filterOf(attachment));
			return { ...attachment, link: null, id: typeof id === 'number' ? id : null };
		}
		if (isOfHost(attachment.kind)) {
			const { id: link, program: id } = linkIdentity(fd);
			return { ...attachment, link, id };
		}
		const info = linkInfo(fd);
		return { ...attachment, link: info?.id ?? null, id: info?.ifindex ? info.program : null };
	});
}

/** Whose verdict is the first: what runs before may end the walk, and nobody judges the packet. */
const FIRST: ReadonlySet<string> = new Set([...Object.values(FROM_CONTAINER), 'uplink_guard', 'uplink_ingress']);

/** What packets meet before a program that is to be the first there, but for what turns flows. Of filters nothing: lower priorities are other people's. */
export function programsBefore({ program, kind, ifindex, pin }: Attachment): AttachedProgram[] {
	if (!FIRST.has(program) || (kind !== 'tcx' && kind !== 'netkit')) return [];
	const { id, attachType } = withPinned(pin, linkInfo)!;
	const all = attachedInOrder(ifindex, attachType);
	const guard = isLoaded('tls_netns') ? pinnedProgram(pinPath('programs', 'tls_guard')).id : null;
	return all
		.slice(
			0,
			all.findIndex(({ link }) => link === id),
		)
		.filter(({ program }) => program !== guard);
}

/** Of what is pinned at `path`. */
export function pinnedProgram(path: string): { id: number; tag: string } {
	return withPinned(path, programIdentity);
}
