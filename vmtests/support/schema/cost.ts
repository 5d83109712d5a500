/** What packets, and programs, cost: `pathproof perf` and `bench trace`. */
import { z } from 'zod';
import { OTHER_DEVICES, OTHER_FORWARDS } from '../cost/others.ts';
import { DEVICES, FORWARDS } from '../types.ts';
import { count, kernel, version } from './words.ts';

/** `pathproof bench trace` */
export const traceCostDocument = z
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

const perfDevice = z.enum([...DEVICES, ...OTHER_DEVICES]);
const perfForward = z
	.enum([...FORWARDS, ...OTHER_FORWARDS])
	.describe('masquerade, nftables and plain: what hosts run without this datapath (--others)');

/** `pathproof perf` */
export const perfDocument = z
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
				device: perfDevice,
				forward: perfForward,
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
			.array(z.strictObject({ kernel, device: perfDevice, forward: perfForward, why: z.string() }))
			.optional()
			.describe('what could not be measured, which is in no row; documents of before do not have it'),
	})
	.describe('pathproof perf --json. Instructions are not cycles');

/** `pathproof perf --growth` */
export const growthDocument = z
	.strictObject({
		schema: version,
		profile: z.literal('exact'),
		accel: z.literal('tcg'),
		unit: z.string().describe('of all figures that say nothing else'),
		workload: perfDocument.shape.workload.describe('along each axis the others are as here'),
		curves: z.array(
			z.strictObject({
				kernel,
				device: z.enum(DEVICES),
				forward: z.enum(FORWARDS),
				axis: z.enum(['flows', 'bytes', 'containers']).describe('what grows; bytes: of a request, and of its response'),
				points: z.array(
					z.strictObject({
						at: z.int().positive(),
						host: instructions.describe('of the measured host'),
						total: instructions.describe('of the whole guest'),
						packets: z.number().positive().describe('per transaction: received by a device of either end'),
						perPacket: z.number().positive().describe('of `total`'),
						programs: z
							.record(z.string(), z.number())
							.describe('instructions of one run of each BPF program in the way'),
					}),
				),
				exponents: z
					.strictObject({ host: z.number(), perPacket: z.number() })
					.describe('b of a·xᵇ, by least squares of the logarithms: 0 is flat'),
			}),
		),
	})
	.describe('pathproof perf --growth --json. Instructions are not cycles');

const verified = z.strictObject({
	instructions: count.describe('that the verifier went through'),
	states: count.describe('that it kept'),
});
/** `pathproof perf --verifier` */
export const verifierDocument = z
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

export type TraceCostDocument = z.infer<typeof traceCostDocument>;
export type PerfDocument = z.infer<typeof perfDocument>;
export type GrowthDocument = z.infer<typeof growthDocument>;
export type VerifierDocument = z.infer<typeof verifierDocument>;
