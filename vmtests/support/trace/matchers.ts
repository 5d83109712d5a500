/**
 * What a test may say of packets. Each claim is of all packets that it is given, and `.not` means none of them; of a whole flow speak
 * `toBeAccountedFor` and `toFollowSamePathAs`. A claim about no packet, or where events were lost, never holds; nor does one that something
 * did not happen where a program ran unseen, or where nothing watched the symbol it names.
 */
import { expect } from 'vitest';
import { keepsSocket, staysInContextOfSender } from './matchers/context.ts';
import { type FateCounts, isAccountedFor, isDroppedAt } from './matchers/fate.ts';
import { matcher, type Packets } from './matchers/judge.ts';
import { followsSamePathAs, type SamePathOptions } from './matchers/same.ts';
import { followsPath, type HopCounts, type PathOptions, takesHops, traverses } from './matchers/way.ts';
import type { Path } from './path.ts';

export type { FateCounts, HopCounts, Packets, PathOptions, SamePathOptions };

interface PathMatchers<R = void> {
	/** Every packet that starts where the path starts took exactly these hops. */
	toFollowPath(expected: Path | string, options?: PathOptions): R;
	/**
	 * The packets took the ways that the other's took in each direction, except for the hops named. A hop counts by its name, program and
	 * verdict; how the program is attached, addresses, ports and the number of packets do not.
	 */
	toFollowSamePathAs(other: Packets, options?: SamePathOptions): R;
	/** A hop (`host ip6 forward`, `host:web ingress[→ redirect]`) or a kernel function (`ip6_forward`) is on the way. */
	toTraverse(hopOrSymbol: string): R;
	/** As many hops of each kind as given. */
	toTakeHops(counts: HopCounts): R;
	/** The socket that sent the packet is still attached to it: at one hop, or at every hop before its delivery. */
	toKeepSocket(): R;
	/** No softirq in between: the sender's own call carried the packet through this hop, or through all of them. */
	toStayInContextOfSender(): R;
	/**
	 * The packet's last hop before its drop is this one, and the reason is this, or one of these: the kernel's names for it, newest first,
	 * and where kernels give none (before 5.17, and NOT_SPECIFIED) the function that dropped. A program that drops is the place itself;
	 * where the kernel then reports no drop, its verdict (`drop`, `aborted`) is the reason.
	 */
	toBeDroppedAt(hop: string, reason: string | readonly string[]): R;
	/**
	 * Every packet was delivered, or dropped at a hop and for a reason that have names, or waits in a queue, or its bytes went on in other
	 * packets; and as many came to each end as given.
	 */
	toBeAccountedFor(counts?: FateCounts): R;
}

declare module 'vitest' {
	// The parameters are those of the declaration that this one augments.
	interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> extends PathMatchers<R> {}
}

expect.extend({
	toFollowPath: matcher('toFollowPath', { judge: followsPath }),
	toFollowSamePathAs: matcher('toFollowSamePathAs', { judge: followsSamePathAs, denies: () => true }),
	toTraverse: matcher('toTraverse', { judge: traverses }),
	toTakeHops: matcher('toTakeHops', {
		judge: takesHops,
		denies: (counts: HopCounts) => Object.values(counts).includes(0),
	}),
	toKeepSocket: matcher('toKeepSocket', { judge: keepsSocket }),
	toStayInContextOfSender: matcher('toStayInContextOfSender', { judge: staysInContextOfSender }),
	toBeDroppedAt: matcher('toBeDroppedAt', { judge: isDroppedAt }),
	toBeAccountedFor: matcher('toBeAccountedFor', { judge: isAccountedFor, denies: () => true }),
});
