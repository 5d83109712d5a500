/** Why a packet was not delivered, as far as the kernel says. */
import { meaningOf } from './drop-reasons.ts';
import type { Fate, PacketPath } from './types.ts';

export interface Why {
	/** `host:web`; the netns alone where no device is known */
	where: string;
	/** the kernel's name for it; before 5.17 the function's. Null where the kernel did not drop it. */
	reason: string | null;
	/** the kernel's function that dropped it */
	function: string | null;
	/** null for a reason that is not known here */
	meaning: string | null;
}

/** Where no drop was seen, of each fate that leaves a packet's bytes undelivered. What is dropped so fell to an XDP program. */
const FATES: Partial<Record<Fate, string>> = {
	dropped: 'the program that ran last dropped it',
	queued: 'it waits in a queue',
	unexplained: 'nothing that is watched says where it went',
};

/** Neither a packet nor those that its bytes went on in were delivered. */
export function isMissing({ fate }: Pick<PacketPath, 'fate'>): boolean {
	return fate in FATES;
}

export function whyNotDelivered({ fate, hops, events }: PacketPath): Why {
	const drop = fate === 'dropped' ? events.findLast(({ kind }) => kind === 'drop') : undefined;
	const last = drop ?? hops.at(-1) ?? events.at(-1)!;
	const where = last.device === null ? last.netns : `${last.netns}:${last.device}`;
	if (!drop) return { where, reason: null, function: null, meaning: FATES[fate] ?? null };
	return { where, reason: drop.reason, function: drop.function, meaning: drop.reason && meaningOf(drop.reason) };
}
