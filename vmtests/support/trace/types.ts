/**
 * The words of a trace: an event is one packet at one hook of the kernel, a hop a thing that happened to it, a path its whole way.
 * DESIGN: a hop is named by place and direction, never by attach type, so that one path serves every kernel.
 */

/** Which packets a trace follows. All fields given must match, in either direction of the flow. */
export interface PacketFilter {
	protocol?: 'tcp' | 'udp' | 'icmp';
	family?: 4 | 6;
	/** either port; a fragment without ports matches too */
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

/** What an event is to a path. A `note` is none of its hops: a function on the way between two, which `toTraverse` can name. */
export type HopKind =
	| 'xmit'
	| 'receive'
	| 'backlog'
	| 'qdisc'
	| 'neighbour'
	| 'program'
	| 'redirect'
	| 'netfilter'
	| `ip${'' | '6'} ${'receive' | 'forward'}`
	| `${'udp' | 'tcp' | 'icmp'} deliver`
	| 'drop'
	| 'note';

/** What a program decided, and where it hangs. */
export interface ProgramRun {
	/** null where it has none */
	name: string | null;
	attach: string;
	direction: 'ingress' | 'egress';
	verdict: string;
}

/** One packet at one hook. */
export interface PacketEvent {
	/** nanoseconds since the guest's boot */
	time: number;
	cpu: number;
	kind: HopKind;
	/** the tracepoint or function */
	symbol: string;
	/** kernel addresses in hex: of the skb, and of its buffer, which clones share */
	skb: string;
	head: string;
	/** `host`, `web`, `peer`, or an inode number */
	netns: string;
	device: string | null;
	ifindex: number;
	/** bytes, with or without the Ethernet header as the hook sees it */
	length: number;
	/** bytes behind the transport header: of a packet that is segmented later, all of its segments' */
	payload: number;
	mark: number;
	socket: boolean;
	softirq: boolean;
	family: 4 | 6;
	protocol: string;
	source: string;
	destination: string;
	sourcePort: number | null;
	destinationPort: number | null;
	/** bytes from the start of the datagram; null where it is whole */
	fragment: number | null;
	/** identification of the IPv4 header or of the fragment header; null where there is none */
	ipId: number | null;
	tcp: { flags: number; sequence: number; acknowledged: number } | null;
	icmp: { type: number; code: number; id: number; sequence: number } | null;
	/** `pathproof-` and six characters, found in the payload: what joins a packet to the one it was made into on the way */
	nonce: string | null;
	program: ProgramRun | null;
	/** of netfilter: `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`, `egress` */
	hook: string | null;
	/** of a drop: the kernel's reason; the function's name where the kernel has no reasons (before 5.17) */
	reason: string | null;
	/** of a drop: the kernel's function that dropped it */
	function: string | null;
	/** the packet from its IP header on, as far as it was captured */
	bytes: Uint8Array;
}

export interface Hop {
	/** kernel-neutral name: `web:eth0 xmit`, `host:web ingress`, `host ip6 forward`, `peer udp deliver`, `drop NO_SOCKET` */
	hop: string;
	/** `web`, `host`, `peer`, or the inode of a netns that has no name */
	netns: string;
	device: string | null;
	/** `netkit`, `tcx`, `clsact`, `xdp`, `cgroup`; null where no program ran */
	attach: string | null;
	program: string | null;
	/** `pass`, `drop`, `redirect`, `next`; null where no program ran */
	verdict: string | null;
	/** the kernel's function or tracepoint, for those who read its source; of a drop, the function that dropped */
	symbol: string;
	/** nanoseconds since the guest's boot */
	time: number;
	/** the owning socket is still attached */
	socket: boolean;
	/** false: in the context of the sender */
	softirq: boolean;
	mark: number;
	/** null outside the `exact` profile */
	instructions: number | null;
}

/**
 * What became of a packet: a socket took it; it was dropped, by the kernel or by a program; it waits in a queue; its bytes went on in
 * smaller packets or in a larger one; it was a tunnel's, and the packet in it went on; or nothing that was watched explains where it went.
 */
export type Fate = 'delivered' | 'dropped' | 'queued' | 'segmented' | 'merged' | 'unwrapped' | 'unexplained';

/** One packet's way from the sending to the receiving socket, or to its drop. */
export interface PacketPath {
	/** `out`: from the container */
	direction: 'out' | 'in';
	delivered: boolean;
	fate: Fate;
	/** events of this trace that the ring buffer could not take, or that a hook missed while it was running already */
	lostEvents: number;
	packet: PacketTuple;
	nonce: string | null;
	hops: Hop[];
	/** all that was seen of it, hops and notes, in time */
	events: PacketEvent[];
}

/** A path as documents have it. */
export type PlainPath = Omit<PacketPath, 'events'>;

/** A program that ran unseen, e.g. because it was loaded without BTF. */
export interface UntracedProgram {
	name: string;
	why: string;
}
