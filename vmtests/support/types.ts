/** The words that labs share; those of traces are in trace/types.ts. */

export const DEVICES = ['none', 'veth', 'netkit-l2', 'netkit-l3', 'ipvlan-l2', 'ipvlan-l3', 'ipvlan-l3s'] as const;
export type Device = (typeof DEVICES)[number];

export const FORWARDS = ['stack', 'redirect', 'fib', 'redirect-egress', 'native'] as const;
export type Forward = (typeof FORWARDS)[number];

/** What joins the host's eth0 to the peer's: a veth pair, or a netkit pair where the kernel has no modules. */
export type Wire = 'veth' | 'netkit';

export interface LabOptions {
	/** the container's device */
	device: Device;
	forward: Forward;
	/** the kernel's tier decides where it is not given: `veth` on full, `netkit` on image-only kernels */
	wire?: Wire;
	/** of the tracer's ring buffer: a power of two, at least 4096; 32 MiB without */
	ringBytes?: number;
	/** false: the first trace attaches it, and until then nothing watches */
	tracer?: boolean;
}

/** One end of a lab: the container `web`, the `host`, the `peer` beyond the host's uplink. */
export interface LabNode {
	name: 'web' | 'host' | 'peer';
	/** null for the guest's initial netns */
	netns: string | null;
	ipv6: string;
	ipv4: string;
}

export interface LabState {
	options: LabOptions & { wire: Wire };
	web: LabNode;
	host: LabNode;
	peer: LabNode;
	/** BPF programs in the way of a packet, by name */
	programs: { name: string; attach: string; device: string; netns: string; pin: string | null }[];
}
