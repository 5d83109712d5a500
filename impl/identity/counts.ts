/** What is counted of an identity container: enum count of bpf/include/identity.h, in the same order. */

export const COUNTS = [
	/** made, and closed again: TCP, UDP and ping sockets; what accept() answers is not counted */
	'SOCKETS',
	'RELEASED',
	/** granted, not done: the kernel may have refused them after that */
	'BINDS',
	'CONNECTS',
	/** of sockets that are not connected; the others' pass no program */
	'DATAGRAMS',
	/** of connects and datagrams, those to a service */
	'SERVED',
	/** TCP connections that came to be, by who began them */
	'FLOWS_OUT',
	'FLOWS_IN',
	/** of TCP connections that have ended: what was acknowledged, and what came; TCP counts its SYN and FIN as a byte each */
	'BYTES_SENT',
	'BYTES_RECEIVED',
	/** what datagrams carried, where `countUdp` asks for it; of those that came, those too that a socket had no room for */
	'UDP_BYTES_SENT',
	'UDP_BYTES_RECEIVED',
	/** a bind or a source that is neither the container's own address nor a port that it shares */
	'FOREIGN_ADDRESS',
	/** a bind to a port that it may not have */
	'FORBIDDEN_PORT',
	/** of a family that the container has no address of */
	'NO_SUCH_FAMILY',
	/** a connect of a socket that the kernel has given a port already, at every address of the host */
	'BOUND_BEFORE',
	/** a socket that is neither TCP nor UDP nor ping */
	'FORBIDDEN_PROTOCOL',
	/** the container's address is on no device of the host */
	'ADDRESS_GONE',
	/** its programs were there, and its row was not */
	'NOT_READY',
	/** a packet from elsewhere for a socket that is bound to a loopback address */
	'EXPOSED',
] as const;
export type Count = (typeof COUNTS)[number];

/** Of one row, a value for each CPU behind the other: the sums. */
export function sumCounts(bytes: Buffer): Record<Count, number> {
	const size = 8 * COUNTS.length;
	const sum = (index: number) => {
		let all = 0n;
		for (let at = 8 * index; at < bytes.length; at += size) all += bytes.readBigUInt64LE(at);
		return Number(all);
	};
	return Object.fromEntries(COUNTS.map((name, index) => [name, sum(index)])) as Record<Count, number>;
}
