/** What was seen of packets: `pathproof trace`, `diff` and `tour`. */
import { z } from 'zod';
import { DEVICES, FORWARDS } from '../types.ts';
import { accel, count, kernel, milliseconds, profile, version } from './words.ts';

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
export const eventDocument = z.looseObject({
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

export type TraceDocument = z.infer<typeof traceDocument>;
export type LiveDocument = z.infer<typeof liveDocument>;
export type DiffDocument = z.infer<typeof diffDocument>;
export type PacketDocument = z.infer<typeof packetDocument>;
export type TourDocument = z.infer<typeof tourDocument>;
