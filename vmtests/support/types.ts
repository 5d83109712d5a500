/**
 * The words that labs, traces and matchers share. DESIGN: a hop is named by place and direction, never by attach type, so that
 * one path serves every kernel.
 */

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
	options: Required<LabOptions>;
	web: LabNode;
	host: LabNode;
	peer: LabNode;
	/** BPF programs in the way of a packet, by name */
	programs: { name: string; attach: string; device: string; netns: string; pin: string | null }[];
}

/** Which packets a trace follows. All fields given must match, in either direction of the flow. */
export interface PacketFilter {
	protocol?: 'tcp' | 'udp' | 'icmp';
	family?: 4 | 6;
	/** either port */
	port?: number;
}

export interface PacketTuple {
	family: 4 | 6;
	protocol: 'tcp' | 'udp' | 'icmp' | string;
	source: string;
	destination: string;
	sourcePort: number | null;
	destinationPort: number | null;
	/** TCP flags, ICMP type: what tells this packet from the next one of its flow, e.g. `SYN`, `echo request seq 1` */
	detail: string;
}

export interface Hop {
	/** kernel-neutral name: `web:eth0 xmit`, `host:web ingress`, `host ip6 forward`, `peer udp deliver`, `drop NO_SOCKET` */
	hop: string;
	/** `web`, `host`, `peer`, or the inode of a netns that has no name */
	netns: string;
	device: string | null;
	/** `netkit`, `tcx`, `clsact`, `xdp`; null where no program ran */
	attach: string | null;
	program: string | null;
	/** `pass`, `drop`, `redirect`, `next`; null where no program ran */
	verdict: string | null;
	/** the kernel's function or tracepoint, for those who read its source */
	symbol: string;
	/** the owning socket is still attached */
	socket: boolean;
	/** false: in the context of the sender */
	softirq: boolean;
	/** null outside the `exact` profile */
	instructions: number | null;
}

/** One packet's way from the sending to the receiving socket, or to its drop. */
export interface PacketPath {
	/** `out`: from the container */
	direction: 'out' | 'in';
	delivered: boolean;
	/** events that the ring buffer could not take while this packet was followed */
	lostEvents: number;
	packet: PacketTuple;
	hops: Hop[];
}
