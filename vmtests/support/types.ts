/** The words that labs share; those of traces are in trace/types.ts. */

import type { Device, Forward } from '../../impl/container.ts';
import type { Reason } from '../../impl/forward/reasons.ts';

export { DEVICES, type Device, FORWARDS, type Forward } from '../../impl/container.ts';

/**
 * What joins the host's eth0 to the peer's: a veth pair, or a netkit pair where the kernel has no modules. `virtio`: two NICs joined
 * outside the guest, where checksums are computed, big packets cut, and VLAN tags part of the frame.
 */
export const WIRES = ['veth', 'netkit', 'virtio'] as const;
export type Wire = (typeof WIRES)[number];

export const CONTAINERS = ['web', 'api'] as const;
export type ContainerName = (typeof CONTAINERS)[number];

/** What a lab may say of each of its containers. */
export interface LabContainer {
	/** both are of one tenant without, and reach each other */
	tenant?: string;
	/** tenants that it may talk with */
	allow?: string[];
	/** of the host, in order of preference; `eth0` without. Who names `eth1` gets a second wire. */
	uplinks?: ('eth0' | 'eth1')[];
	/** as the lab's without */
	device?: Device;
	forward?: Forward;
}

export interface LabOptions {
	/** of its containers */
	device: Device;
	forward: Forward;
	/** the kernel's tier decides where it is not given: `veth` on full, `netkit` on image-only kernels */
	wire?: Wire;
	/** `web` alone without */
	containers?: Partial<Record<ContainerName, LabContainer>>;
	/** false: what the containers send is not judged, and a stack has no program of ours at all */
	guard?: boolean;
	/** the containers' netns belong to user namespaces of their own: who is root inside is nobody outside */
	userns?: boolean;
	/** of the tracer's ring buffer: a power of two, at least 4096; 32 MiB without */
	ringBytes?: number;
	/** false: the first trace attaches it, and until then nothing watches */
	tracer?: boolean;
}

/** Packets that a program of the datapath dropped. */
export interface DropCount {
	/** the device that it stands on: `host:web`, `host:eth0`; of an ipvlan slave `web:eth0` */
	at: string;
	reason: Reason;
	count: number;
}

/** One end of a lab: a container, the `host`, the `peer` beyond the host's uplinks. */
export interface LabNode {
	name: ContainerName | 'host' | 'peer';
	/** null for the guest's initial netns */
	netns: string | null;
	ipv6: string;
	ipv4: string;
	/** with `userns`: a process in the container's user and network namespace */
	pid?: number;
}

export interface LabState {
	options: LabOptions & { wire: Wire };
	web: LabNode;
	/** null where the lab has one container */
	api: LabNode | null;
	host: LabNode;
	peer: LabNode;
	/** BPF programs in the way of a packet, by name */
	programs: { name: string; attach: string; device: string; netns: string; pin: string | null }[];
}
