/** Traces as the documents that `--json` prints. */
import type { Lab } from './lab.ts';
import { type PacketDocument, type TraceDocument, traceDocument } from './schema/trace.ts';
import type { Trace } from './trace/trace.ts';
import type { PacketEvent, PacketPath } from './trace/types.ts';
import { isMissing, whyNotDelivered } from './trace/why.ts';

export interface Details {
	/** the events of each packet */
	raw?: boolean;
	/** of packets that were not delivered: why */
	why?: boolean;
}

export function toTraceDocument(
	{ vm, state }: Pick<Lab, 'vm' | 'state'>,
	{ packets, lostEvents, untraced }: Pick<Trace, 'packets' | 'lostEvents' | 'untraced'>,
	details: Details = {},
): TraceDocument {
	const { device, forward } = state.options;
	return traceDocument.parse({
		schema: 1,
		profile: vm.profile,
		kernel: vm.kernel.id,
		accel: vm.accel,
		device,
		forward,
		lostEvents,
		untraced,
		packets: packets.map((packet) => toPacketDocument(packet, details)),
	});
}

export function toPacketDocument(packet: PacketPath, { raw, why }: Details): PacketDocument {
	const { events, ...rest } = packet;
	return {
		...rest,
		...(why && isMissing(packet) && { why: whyNotDelivered(packet) }),
		...(raw && { events: events.map(toEventDocument) }),
	};
}

/** An event as JSON can hold it: bytes in hex. */
export function toEventDocument(event: PacketEvent): NonNullable<PacketDocument['events']>[number] {
	return { ...event, bytes: Buffer.from(event.bytes).toString('hex') };
}
