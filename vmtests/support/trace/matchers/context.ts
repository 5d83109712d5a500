/** In which state a packet was at its hops: with its socket, in the context of its sender. */
import { formatHop } from '../path.ts';
import type { Hop } from '../types.ts';
import { type Evidence, each, type Verdict } from './judge.ts';

export function keepsSocket(evidence: Evidence): Verdict {
	return judgeHops(evidence, {
		holds: (hop) => hop.socket,
		lacks: 'had lost its socket',
		has: 'still had its socket',
	});
}

export function staysInContextOfSender(evidence: Evidence): Verdict {
	return judgeHops(evidence, {
		holds: (hop) => !hop.softirq,
		lacks: 'ran in softirq and not in the context of the sender',
		has: 'ran in the context of the sender',
	});
}

interface State {
	holds(hop: Hop): boolean;
	lacks: string;
	has: string;
}

/** A delivery is past the packet's way: there it belongs to its receiver. */
function judgeHops(evidence: Evidence, { holds, lacks, has }: State): Verdict {
	const { hop, packets, isNot } = evidence;
	const hops = hop ? [hop] : packets.flatMap((packet) => packet.hops.filter((taken) => !isDelivery(taken)));
	return each(
		evidence,
		hops,
		holds,
		(odd) => `the packet ${isNot ? has : lacks} at \`${formatHop(odd)}\` (${odd.symbol})`,
	);
}

function isDelivery({ hop }: Hop): boolean {
	return hop.endsWith(' deliver');
}
