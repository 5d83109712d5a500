/** Whole ways: a packet's own, or that of one packet and of those that it was made into on the way. */
import type { Hop, PacketPath, PacketTuple } from './types.ts';

export interface Way {
	/** in the order in which they were first seen */
	packets: readonly PacketPath[];
	hops: readonly Hop[];
}

/** Which hops make one way: those of a packet, of a packet and its successors, or of all packets in time. */
export const WAYS = {
	same: (packets) => packets.map((packet) => ({ packets: [packet], hops: packet.hops })),
	another: (packets) => joinRemade(packets).map((joined) => ({ packets: joined, hops: hopsInTurn(joined) })),
	any: (packets) => [{ packets, hops: hopsInTurn(packets).toSorted((a, b) => a.time - b.time) }],
} as const satisfies Record<string, (packets: readonly PacketPath[]) => Way[]>;

function hopsInTurn(packets: readonly PacketPath[]): Hop[] {
	return packets.flatMap(({ hops }) => hops);
}

/**
 * A packet that is remade on the way, by a proxy or in a tunnel, goes on as another one with the same nonce in its payload. The answer
 * bears the nonce as well: it goes back between the same ends.
 */
function joinRemade(packets: readonly PacketPath[]): PacketPath[][] {
	const chains: PacketPath[][] = [];
	for (const packet of packets.toSorted((a, b) => startOf(a) - startOf(b))) {
		const chain = chains.find((chain) => goesOn(chain, packet));
		if (chain) chain.push(packet);
		else chains.push([packet]);
	}
	return chains;
}

function startOf({ hops, events }: PacketPath): number {
	return events[0]?.time ?? hops[0]?.time ?? 0;
}

function goesOn(chain: readonly PacketPath[], { nonce, packet }: PacketPath): boolean {
	return nonce !== null && chain[0]!.nonce === nonce && !chain.some((link) => isAnswer(link.packet, packet));
}

function isAnswer(to: PacketTuple, { source, destination, sourcePort, destinationPort }: PacketTuple): boolean {
	return (
		to.source === destination &&
		to.destination === source &&
		to.sourcePort === destinationPort &&
		to.destinationPort === sourcePort
	);
}
