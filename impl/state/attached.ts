/** Which programs are in a container's way: those that ought to be, and those that are. */
import { findDevice } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import { isIpvlan } from '../devices/ipvlan.ts';
import { type Attachment, attachments, attachmentTo, filterOf, withPinned } from '../forward/attach.ts';
import { queryClsact } from '../libbpf/attach.ts';
import { linkInfo, programIdentity } from '../libbpf/enumerate.ts';
import { FROM_CONTAINER } from '../plan/pair.ts';

/** A program and its device on the host; null: the container's own inside its netns. */
export interface Placed {
	program: string;
	device: string | null;
}

export function expectedPrograms(spec: ContainerSpec): Placed[] {
	const { name, device, forward, guard } = spec;
	const uplinks = spec.uplinks.map((uplink) => uplink.device);
	if (isIpvlan(device)) {
		if (!guard) return [];
		return [
			...['slave_guard', 'slave_ingress'].map((program) => ({ program, device: null })),
			...['uplink_guard', 'ingress_peer', 'uplink_ingress'].map((program) => ({ program, device: uplinks[0]! })),
		];
	}
	if (!pairKind(device)) return [];
	const own = { program: FROM_CONTAINER[forward as keyof typeof FROM_CONTAINER], device: name };
	if (forward === 'stack') return guard ? [own] : [];
	return [own, ...uplinks.map((uplink) => ({ program: 'ingress_peer', device: uplink }))];
}

/** `slave`: the index of an ipvlan container's device, which is in no netns that is looked at here. */
export function attachmentsOf(spec: ContainerSpec, slave: number | null = null): Attachment[] {
	return expectedPrograms(spec).flatMap(({ program, device }) => {
		const ifindex = device === null ? slave : findDevice(device);
		if (ifindex !== null) return attachmentTo(ifindex, program) ?? [];
		// without its index the slave's are not told from those of other slaves: the last that was made is the newest
		return attachments()
			.filter((one) => one.program === program)
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
		const info = linkInfo(fd);
		return { ...attachment, link: info?.id ?? null, id: info?.ifindex ? info.program : null };
	});
}

/** Of what is pinned at `path`. */
export function pinnedProgram(path: string): { id: number; tag: string } {
	return withPinned(path, programIdentity);
}
