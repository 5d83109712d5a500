/** All that there is of one container, for people to look at. */
import { statSync } from 'node:fs';
import { deviceName } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import { isLoaded } from '../forward/datapath.ts';
import { type DropPlace, dropRows, slaveOf } from '../forward/tables.ts';
import { cgroupId, cgroupOf } from '../identity/cgroup.ts';
import type { Count } from '../identity/counts.ts';
import { identityLinks, lookAtLink } from '../identity/links.ts';
import { countsOf } from '../identity/tables.ts';
import { NETNS_DIR } from '../netns.ts';
import { attachmentsOf, lookAt } from './attached.ts';
import { hostFacts, type InnerFacts, innerFacts } from './host.ts';
import type { ContainerRecord } from './records.ts';

export interface ContainerView {
	state: ContainerRecord['state'];
	spec: ContainerSpec;
	/** its device's host end; null where it has none */
	host: { device: string; ifindex: number; mtu: number; up: boolean } | null;
	/** null: it is gone. `device` is null where that is */
	container: {
		netns: string;
		/** by which the kernel knows the netns */
		inode: number;
		device: string | null;
		ifindex: number | null;
		mtu: number | null;
		addresses: string[];
	} | null;
	attachments: {
		program: string;
		kind: string;
		/** null: gone, in the container's netns, or the host as a whole (`kind`: tracing, output6, output4) */
		device: string | null;
		/** id of the link; null of a filter */
		link: number | null;
		/** of the program; null: it is attached no more */
		id: number | null;
	}[];
	/** of an identity container alone */
	identity?: {
		cgroup: string;
		/** null: it is gone */
		id: number | null;
		/** what was asked of its sockets, and what was refused, since it was added */
		counts: Partial<Record<Count, number>>;
	};
	/** packets of its own, by reason */
	drops: Record<string, number>;
	/** of the host, to it; and the rules for what comes from it */
	routes: string[];
}

export async function viewContainer({ state, spec }: ContainerRecord): Promise<ContainerView> {
	const none = spec.device === 'none';
	const [facts, inner] = await Promise.all([hostFacts(), none ? null : innerFacts(spec)]);
	const link = pairKind(spec.device) ? facts.links.get(spec.name) : undefined;
	const own = (address: string | undefined) =>
		address !== undefined && (address === spec.ipv6 || address === spec.ipv4);
	return {
		state,
		spec,
		host: link ? { device: link.ifname, ifindex: link.ifindex, mtu: link.mtu, up: link.flags.includes('UP') } : null,
		container: inner && viewInside(spec, inner),
		attachments: spec.identity
			? identityLinks(spec.name)
					.map(lookAtLink)
					.map(({ program, id, running }) => ({ program, kind: 'cgroup', device: null, link: id, id: running }))
			: attachmentsOf(spec, inner?.link?.ifindex ?? null)
					.map(lookAt)
					.map(({ program, kind, ifindex, link, id }) => ({ program, kind, device: deviceName(ifindex), link, id })),
		...(spec.identity && { identity: viewIdentity(spec) }),
		drops: dropsOf(placeOf(spec, link?.ifindex)),
		routes: [
			...facts.routes
				.filter(({ dst, dev }) => own(dst) && dev === spec.name)
				.map(({ dst, dev }) => `${dst} dev ${dev}`),
			...facts.rules
				.filter(({ src }) => own(src))
				.map(({ priority, src, table, action }) => `${priority}: from ${src} ${table ? `lookup ${table}` : action}`),
		],
	};
}

function viewInside({ name, netns }: ContainerSpec, { link }: InnerFacts): ContainerView['container'] {
	return {
		netns: netns ?? name,
		inode: statSync(`${NETNS_DIR}/${netns ?? name}`).ino,
		device: link?.ifname ?? null,
		ifindex: link?.ifindex ?? null,
		mtu: link?.mtu ?? null,
		addresses: link?.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`) ?? [],
	};
}

function viewIdentity(spec: ContainerSpec): ContainerView['identity'] {
	const cgroup = cgroupOf(spec);
	const id = cgroupId(cgroup);
	return { cgroup, id: id === null ? null : Number(id), counts: (id !== null && countsOf(id)) || {} };
}

/** Null: it has no device. */
function placeOf(spec: ContainerSpec, hostEnd: number | undefined): DropPlace | null {
	if (hostEnd !== undefined) return { ifindex: hostEnd, slave: 0 };
	const slave = isLoaded() ? slaveOf(spec) : null;
	return slave && { ifindex: slave.uplink, slave: slave.id };
}

function dropsOf(place: DropPlace | null): Record<string, number> {
	if (place === null || !isLoaded()) return {};
	return Object.fromEntries(
		dropRows()
			.filter(({ ifindex, slave }) => ifindex === place.ifindex && slave === place.slave)
			.map(({ reason, count }) => [reason, count]),
	);
}
