/** What documents have in common. */
import { z } from 'zod';

export const version = z.literal(1).describe('version of this document');
export const kernel = z
	.string()
	.describe('upstream version, with -generic where the flavour is not cloud, e.g. 6.12.117');
export const accel = z.enum(['kvm', 'tcg']).describe('what ran the guest');
export const profile = z
	.enum(['functional', 'exact'])
	.describe('functional: 2 vCPUs, KVM or TCG; exact: 1 vCPU, TCG with -icount');
export const milliseconds = z.number().nonnegative();
export const count = z.int().nonnegative();
