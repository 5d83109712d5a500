/** What a machine has, and how fast its guests are: `pathproof doctor` and `bench boot`. */
import { z } from 'zod';
import { accel, kernel, milliseconds, profile, version } from './words.ts';

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
export const doctorDocument = z.strictObject({
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

export type BootDocument = z.infer<typeof bootDocument>;
export type DoctorDocument = z.infer<typeof doctorDocument>;
