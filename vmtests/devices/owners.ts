/** Whose a packet is when it leaves by the uplink. */
import { expect, type PacketPath } from 'pathproof';

/**
 * Its sender's still: what redirects keep, and a stack takes away. What was nobody's from its first hop on has nothing to keep: up to 6.12
 * at least, the ACK that a socket in TIME_WAIT answers a FIN with.
 */
export function expectSocketKept(packets: readonly PacketPath[]): void {
	const leaving = leavingOf(packets);
	if (leaving.length) expect(leaving[0]!.packet.hops[0]).toKeepSocket();
	for (const { packet, hop } of leaving) if (packet.hops[0]!.socket) expect(hop).toKeepSocket();
}

export function expectSocketLost(packets: readonly PacketPath[]): void {
	for (const { hop } of leavingOf(packets)) expect(hop).not.toKeepSocket();
}

function leavingOf(packets: readonly PacketPath[]) {
	return packets.flatMap((packet) => {
		const hop = packet.hops.find((one) => one.hop === 'host:eth0 xmit');
		return hop ? [{ packet, hop }] : [];
	});
}
