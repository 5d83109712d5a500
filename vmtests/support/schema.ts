/**
 * The documents that `--json` prints, as zod schemas; `fixtures/schemas/*.json` holds them as JSON schemas for other languages, written by
 * `node vmtests/support/schema-write.ts`. Version 1 may gain fields and loses none.
 */
import { z } from 'zod';
import { DEVICES, FORWARDS } from './types.ts';

const version = z.literal(1).describe('version of this document');
const kernel = z.string().describe('upstream version, with -generic where the flavour is not cloud, e.g. 6.12.117');
const accel = z.enum(['kvm', 'tcg']).describe('what ran the guest');
const profile = z
	.enum(['functional', 'exact'])
	.describe('functional: 2 vCPUs, KVM or TCG; exact: 1 vCPU, TCG with -icount');
const milliseconds = z.number().nonnegative();
const count = z.int().nonnegative();

export const hopDocument = z.strictObject({
	hop: z.string().describe('place and direction, the same on every kernel, e.g. `host:web ingress`'),
	netns: z.string(),
	device: z.string().nullable(),
	attach: z.string().nullable().describe('how the program that ran was attached, e.g. netkit, tcx, clsact, xdp'),
	program: z.string().nullable(),
	verdict: z.string().nullable().describe('pass, drop, redirect, next'),
	symbol: z.string().describe('kernel function or tracepoint; of a drop, the function that dropped'),
	time: count.describe("nanoseconds since the guest's boot"),
	socket: z.boolean().describe('the owning socket is still attached'),
	softirq: z.boolean().describe('false: in the context of the sender'),
	mark: count,
	instructions: count.nullable().describe('guest instructions since the previous hop; null outside the exact profile'),
});

export const tupleDocument = z.strictObject({
	family: z.union([z.literal(4), z.literal(6)]),
	protocol: z.string(),
	source: z.string(),
	destination: z.string(),
	sourcePort: count.nullable(),
	destinationPort: count.nullable(),
	detail: z.string().describe('what tells the packet from the next one of its flow, e.g. `SYN`'),
});

/** What the tracer saw, with all that it knows: what hops are made of. May gain fields like all else. */
const eventDocument = z.looseObject({
	time: count.describe("nanoseconds since the guest's boot"),
	cpu: count,
	kind: z.string().describe('the hop it is part of; `note` where it is none'),
	symbol: z.string().describe('kernel function or tracepoint'),
	netns: z.string(),
	device: z.string().nullable(),
	skb: z.string().describe('kernel address in hex, and so is head'),
	head: z.string().describe('of the buffer, which clones share'),
	bytes: z.string().describe('the packet from its IP header on, in hex, as far as it was captured'),
});

export const packetDocument = z.strictObject({
	direction: z.enum(['out', 'in']).describe('out: from the container'),
	delivered: z.boolean(),
	fate: z
		.enum(['delivered', 'dropped', 'queued', 'segmented', 'merged', 'unwrapped', 'unexplained'])
		.describe('unexplained: nothing that was watched says where it went'),
	lostEvents: count.describe('events that the ring buffer could not take, or that a hook missed'),
	packet: tupleDocument,
	nonce: z.string().nullable().describe('`pathproof-` and six characters, found in its payload'),
	hops: z.array(hopDocument),
	why: z
		.strictObject({
			where: z.string().describe('netns, and device where there is one'),
			reason: z.string().nullable().describe("the kernel's; the function before 5.17, where there are none"),
			function: z.string().nullable().describe('the function that dropped it'),
			meaning: z.string().nullable().describe('null for a reason that pathproof does not know'),
		})
		.optional()
		.describe('of a packet that was not delivered, with --why-dropped'),
	events: z.array(eventDocument).optional().describe('with --raw'),
});

/** What a trace did not see. Documents of before have neither. */
const unseen = {
	lostEvents: count.optional().describe('of the whole trace: where there are any, packets and hops may be missing'),
	untraced: z
		.array(z.strictObject({ name: z.string(), why: z.string() }))
		.optional()
		.describe('BPF programs that ran unseen'),
};

export const traceDocument = z
	.strictObject({
		schema: version,
		profile,
		kernel,
		accel,
		device: z.enum(DEVICES),
		forward: z.enum(FORWARDS),
		...unseen,
		packets: z.array(packetDocument),
	})
	.describe('pathproof trace --json, and each trace of pathproof tour --json');

export const liveDocument = z
	.strictObject({
		schema: version,
		kernel: z.string().describe("this host's, as uname -r says it"),
		watched: z.array(z.string()).describe('kernel functions and tracepoints'),
		unwatched: z.array(z.string()).describe('those that this kernel does not let be watched'),
		...unseen,
		packets: z.array(packetDocument),
	})
	.describe('pathproof trace --live --json');

const diffSide = z.strictObject({
	kernel,
	device: z.enum(DEVICES).nullable().describe('null for a live trace, and so is forward'),
	forward: z.enum(FORWARDS).nullable(),
});
const diffHop = hopDocument.pick({ hop: true, attach: true, program: true, verdict: true });

export const diffDocument = z
	.strictObject({
		schema: version,
		same: z
			.boolean()
			.describe('both took the same ways: by hop, program and verdict, whatever the program is attached by'),
		a: diffSide,
		b: diffSide,
		ways: z
			.array(
				z.strictObject({
					direction: packetDocument.shape.direction,
					same: z.boolean(),
					rows: z
						.array(
							z.strictObject({
								a: diffHop.nullable(),
								b: diffHop.nullable(),
								same: z.boolean().describe('false for the first time: here is where they part'),
							}),
						)
						.describe('null where that side takes no hop'),
				}),
			)
			.describe('each way of one beside the most alike of the other, however many packets took it'),
	})
	.describe('pathproof diff --json');

const lab = { device: z.enum(DEVICES), forward: z.enum(FORWARDS) };

export const tourDocument = traceDocument
	.extend({
		traces: z.array(traceDocument).describe('one for each lab; the first is the document itself'),
		traffic: z
			.array(
				z.strictObject({
					...lab,
					ping: z.strictObject({ sent: count, received: count, averageMs: milliseconds }),
					curl: z.strictObject({ status: count, bytes: count, ms: milliseconds }),
					iperf3: z.strictObject({ bytes: count, seconds: z.number(), retransmits: count }),
				}),
			)
			.describe('what the programs said, once for each lab'),
		lacking: z
			.array(z.strictObject({ device: lab.device, why: z.string() }))
			.describe('devices that this kernel does not have'),
	})
	.describe('pathproof tour --json');

export const bootDocument = z
	.strictObject({
		schema: version,
		profile,
		accel,
		qemu: z.string().describe("QEMU's version, e.g. 10.0.2"),
		kernels: z.array(
			z.looseObject({
				kernel,
				flavour: z.enum(['cloud', 'generic', 'custom']),
				tier: z.enum(['full', 'image']),
				runs: z.int().positive(),
				coldMs: milliseconds.describe("median, from QEMU's start to agent-ready"),
				restoreMs: milliseconds.describe("median, from QEMU's start to the first answered call"),
				ratio: z.number().positive().describe('coldMs / restoreMs'),
				privateMiB: z.number().nonnegative().describe('memory that one fork does not share'),
				waitMs: milliseconds.describe('median time a test waited for its fork'),
			}),
		),
	})
	.describe('pathproof bench boot --json');

/** `pathproof doctor` */
const doctorDocument = z.strictObject({
	schema: version,
	ok: z.boolean().describe('nothing is lacking'),
	system: z.strictObject({
		name: z.string(),
		known: z.boolean().describe('pathproof can install here'),
		tried: z.string().optional().describe('how far pathproof was tried on it'),
	}),
	tools: z.array(
		z.strictObject({
			name: z.string(),
			use: z.string().describe('what it does for pathproof'),
			needed: z.string().nullable().describe('the least version that is enough'),
			because: z.string().nullable().describe('why an older one is not'),
			found: z.string().nullable().describe('version; null also where it is not asked for one'),
			path: z.string().nullable().describe('null: not found'),
			ok: z.boolean(),
			problem: z.string().nullable(),
			mend: z.string().nullable().describe('a command that mends it'),
		}),
	),
	conditions: z.array(
		z.strictObject({
			name: z.string(),
			state: z.string(),
			note: z.string(),
			good: z.boolean().describe('false: something will not work until it is mended'),
		}),
	),
});

/** `pathproof bench trace` */
const traceCostDocument = z
	.strictObject({
		schema: version,
		profile: z.literal('exact'),
		accel: z.literal('tcg'),
		transactions: z.int().positive().describe('of each run; each is two packets'),
		kernels: z.array(
			z.strictObject({
				kernel,
				device: z.enum(DEVICES),
				without: z.number().positive().describe('guest instructions per packet where no tracer is attached'),
				idle: z.number().describe('more where one is, and follows nothing'),
				tracing: z.number().describe('more where it follows every packet'),
				eventsPerPacket: z.number().nonnegative(),
				lostEvents: count,
			}),
		),
	})
	.describe('pathproof bench trace --json. Instructions are not cycles');

const instructions = z.number().describe('guest instructions per transaction');
const spent = z.strictObject({
	user: instructions,
	system: instructions.describe('of the kernel, hardware interrupts and softirqs apart'),
	softirq: instructions,
	hardirq: instructions,
	idle: z.number().describe('nanoseconds in which nothing ran; in no total'),
});

/** `pathproof perf` */
const perfDocument = z
	.strictObject({
		schema: version,
		profile: z.literal('exact'),
		accel: z.literal('tcg'),
		qemu: z.string(),
		unit: z.string().describe('of all figures that say nothing else'),
		workload: z.strictObject({
			name: z.enum(['tcp_rr', 'udp_rr', 'tcp_crr']),
			flows: z.int().positive(),
			threads: z.int().positive().describe('of client and server each'),
			bytes: z.int().positive().describe('of a request, and of its response'),
			transactions: z.int().positive().describe('that were counted'),
			warm: count.describe('that went before'),
		}),
		rows: z.array(
			z.strictObject({
				kernel,
				device: z.enum(DEVICES),
				forward: z.enum(FORWARDS),
				instructionsPerTransaction: instructions.describe('of the measured host: user, system and softirq'),
				overNone: z
					.number()
					.describe(
						'how much more `instructionsPerTransaction` is than that of device `none` on the same kernel: 0.032 is 3.2 %',
					),
				talk: z
					.number()
					.nullable()
					.describe("the same of CPU time, in the talk's own table of its hardware; null: it has no such row"),
				added: instructions.describe('more of `total` than that of device `none` on the same kernel'),
				user: instructions,
				system: instructions.describe('hardware interrupts included'),
				hardirq: instructions.describe('of `system`: in hardware interrupts, the clock above all'),
				softirq: instructions,
				peer: instructions.describe('of the machine beyond the uplink'),
				other: instructions.describe("of the guest's other processes"),
				sides: z
					.strictObject({ host: spent, peer: spent, other: spent })
					.describe('the same in its parts: of the measured host, of the machine beyond, and of neither'),
				total: instructions.describe('of all of them, where nobody watches'),
				idle: z.number().describe('nanoseconds per transaction in which nothing ran; in no other figure'),
				contextSwitches: z.number().nonnegative().describe('per transaction'),
				softirqs: z.number().nonnegative().describe('per transaction'),
				backlogHops: z
					.number()
					.nonnegative()
					.describe('packets per transaction that waited for the container in a backlog'),
				programs: z.record(z.string(), z.number()).describe('instructions of one run of each BPF program in the way'),
				watching: instructions.describe('more where the parts were told apart: taken off, and in no other figure'),
				spread: z
					.number()
					.nullable()
					.describe("of the forks' totals: greatest less least, over the median; null of one"),
				budget: z
					.strictObject({
						tolerance: z.number().describe('0.005: half a per cent'),
						within: z.boolean(),
						moved: z
							.array(
								z.strictObject({
									figure: z.string().describe('e.g. total, host softirq, program egress_neigh'),
									budget: count.nullable().describe('null: it was not there'),
									measured: count.nullable().describe('null: it is no more'),
									beyond: z.boolean().describe('by more than the tolerance'),
								}),
							)
							.describe('what is not as fixtures/budgets has it'),
					})
					.nullable()
					.describe('null: none is kept of this kernel, lab and size of workload'),
			}),
		),
		failed: z
			.array(z.strictObject({ kernel, device: z.enum(DEVICES), forward: z.enum(FORWARDS), why: z.string() }))
			.optional()
			.describe('what could not be measured, which is in no row; documents of before do not have it'),
	})
	.describe('pathproof perf --json. Instructions are not cycles');

const verified = z.strictObject({
	instructions: count.describe('that the verifier went through'),
	states: count.describe('that it kept'),
});
/** `pathproof perf --verifier` */
const verifierDocument = z
	.strictObject({
		schema: version,
		kernels: z.array(
			z.strictObject({
				kernel,
				programs: z.record(z.string(), verified).describe('those that the kernel loads'),
				refused: z.record(z.string(), z.string()).describe('those that it does not, and what it said'),
				grown: z
					.array(
						z.strictObject({
							program: z.string(),
							budget: verified,
							measured: verified.nullable().describe('null: it is not loaded any more'),
						}),
					)
					.describe('by more than the budget lets them'),
				unkept: z.array(z.string()).describe('programs that fixtures/budgets has nothing of'),
			}),
		),
	})
	.describe('pathproof perf --verifier --json');

const sharedPort = z.strictObject({ address: z.string(), port: count, protocol: z.enum(['tcp', 'udp']) });
const portRanges = z.array(z.strictObject({ first: count, last: count }));
/** `pathproof net`: what a container was asked to be. */
const containerDocument = z.strictObject({
	name: z.string(),
	device: z.enum(DEVICES),
	forward: z.enum(FORWARDS),
	uplinks: z
		.array(
			z.strictObject({ device: z.string(), ipv6NextHop: z.string().optional(), ipv4NextHop: z.string().optional() }),
		)
		.describe('in order of preference'),
	ipv6: z.string().nullable(),
	ipv4: z.string().nullable(),
	tenant: z.string(),
	allow: z.array(z.string()).describe('tenants that it may talk with'),
	guard: z.boolean().describe('its packets are judged'),
	netns: z.string().nullable().describe('null: made with it, bearing its name'),
	identity: z
		.strictObject({
			cgroup: z.string().nullable().describe('null: made with it, bearing its name'),
			ports: portRanges.describe('that may be bound; none: all'),
			reserved: portRanges.describe('that may not'),
			shares: z.array(sharedPort).describe('ports of addresses other than its own'),
			serves: z
				.array(sharedPort.extend({ to: count.describe('its own port'), sticky: z.boolean() }))
				.describe('services that it is behind'),
			drained: z.boolean().describe('nobody new is sent to it by them'),
			lowPorts: z.boolean().describe('ports below 1024 need no capability'),
			raw: z.boolean().describe('raw sockets may be made'),
			privateLocalhost: z.boolean().describe('what is bound to a loopback address is out of reach for others'),
			countUdp: z.boolean().describe('bytes of UDP are counted'),
		})
		.optional()
		.describe("it has its addresses by its cgroup, in the host's netns"),
});
const containerState = z
	.enum(['adding', 'ready', 'removing'])
	.describe('not ready: who began that was interrupted, or is at it');

export const netChangeDocument = z
	.strictObject({
		schema: version,
		dryRun: z.boolean(),
		changed: z.boolean().describe('false of a dry run, and where all was as asked already'),
		steps: z.array(z.string()).describe('in order; as one would type it, where there is a command for it'),
	})
	.describe('pathproof net add|rm|gc|upgrade --json, net tls add|rm --json');

export const netLsDocument = z
	.strictObject({ schema: version, containers: z.array(containerDocument.extend({ state: containerState })) })
	.describe('pathproof net ls --json');

export const netShowDocument = z
	.strictObject({
		schema: version,
		state: containerState,
		spec: containerDocument,
		host: z
			.strictObject({ device: z.string(), ifindex: count, mtu: count, up: z.boolean() })
			.nullable()
			.describe("its device's end on the host"),
		container: z
			.strictObject({
				netns: z.string(),
				inode: count.describe('by which the kernel knows the netns'),
				device: z.string().nullable(),
				ifindex: count.nullable(),
				mtu: count.nullable(),
				addresses: z.array(z.string()),
			})
			.nullable()
			.describe('null: its netns is gone'),
		attachments: z.array(
			z.strictObject({
				program: z.string(),
				kind: z.enum(['netkit', 'tcx', 'clsact', 'tracing', 'output6', 'output4', 'cgroup']),
				device: z
					.string()
					.nullable()
					.describe('null: not in the netns of the host, on the host as a whole, or on a cgroup'),
				link: count.nullable().describe("the link's id; null of a filter"),
				id: count.nullable().describe("the program's; null: attached no more"),
			}),
		),
		identity: z
			.strictObject({
				cgroup: z.string(),
				id: count.nullable().describe('null: it is gone'),
				counts: z.record(z.string(), count).describe('what was asked of its sockets, and what was refused'),
			})
			.optional(),
		drops: z.record(z.string(), count).describe('of its own packets, by reason'),
		routes: z.array(z.string()).describe("the host's, to it, and the rules for what comes from it"),
	})
	.describe('pathproof net show --json');

export const netCheckDocument = z
	.strictObject({
		schema: version,
		ok: z.boolean(),
		findings: z.array(
			z.strictObject({
				container: z.string().nullable().describe('null: of the host as a whole'),
				what: z.string(),
				expected: z.string(),
				found: z.string(),
				hint: z.string().describe('a command that mends it'),
			}),
		),
	})
	.describe('pathproof net check --json');

const ofContainer = z.string().nullable().describe('null: it is gone, and what it left is garbage');

const netTlsLsDocument = z
	.strictObject({
		schema: version,
		policies: z
			.array(
				z.strictObject({
					container: ofContainer,
					protocol: z.enum(['tcp', 'udp']),
					to: z.string().describe('a prefix'),
					port: z.int().nullable().describe('null: every port'),
					proxy: z.int().describe('the port of the loopback addresses that the forward proxy listens at'),
					fail: z.enum(['closed', 'open']),
				}),
			)
			.describe('in the order in which they are looked at'),
	})
	.describe('pathproof net tls ls --json');

const netTlsFlowsDocument = z
	.strictObject({
		schema: version,
		flows: z.array(
			z.strictObject({
				container: ofContainer,
				protocol: z.enum(['tcp', 'udp']),
				source: z
					.string()
					.nullable()
					.describe('of the program; null: of UDP, and of TCP before the kernel has chosen its port'),
				destination: z.string().describe('where the program meant to go'),
				proxy: z.int(),
				ageMs: z.int().describe('since it began; of a socket that is not connected, since it sent'),
			}),
		),
	})
	.describe('pathproof net tls flows --json');

/** By the stem of its file in `fixtures/schemas`. */
export const DOCUMENTS = {
	trace: traceDocument,
	live: liveDocument,
	diff: diffDocument,
	tour: tourDocument,
	boot: bootDocument,
	'trace-cost': traceCostDocument,
	perf: perfDocument,
	verifier: verifierDocument,
	doctor: doctorDocument,
	'net-change': netChangeDocument,
	'net-ls': netLsDocument,
	'net-show': netShowDocument,
	'net-check': netCheckDocument,
	'net-tls-ls': netTlsLsDocument,
	'net-tls-flows': netTlsFlowsDocument,
} as const;

export type TraceDocument = z.infer<typeof traceDocument>;
export type LiveDocument = z.infer<typeof liveDocument>;
export type DiffDocument = z.infer<typeof diffDocument>;
export type PacketDocument = z.infer<typeof packetDocument>;
export type TourDocument = z.infer<typeof tourDocument>;
export type TraceCostDocument = z.infer<typeof traceCostDocument>;
export type PerfDocument = z.infer<typeof perfDocument>;
export type VerifierDocument = z.infer<typeof verifierDocument>;
export type BootDocument = z.infer<typeof bootDocument>;
export type DoctorDocument = z.infer<typeof doctorDocument>;

/** The text of `fixtures/schemas/NAME.json`. */
export function jsonSchema(name: keyof typeof DOCUMENTS): string {
	return `${JSON.stringify(z.toJSONSchema(DOCUMENTS[name]), null, '\t')}\n`;
}
