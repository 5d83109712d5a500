/** Which packets, in the words of a command line: `udp port 53`. Some of tcpdump's words, and no more. */
import { PathproofError } from '../../../kernels/errors.ts';
import type { PacketFilter, PacketTuple } from './types.ts';

export const FILTER_GRAMMAR = '[ip|ip6] [tcp|udp|icmp] [port N]';

const FAMILIES: Record<string, 4 | 6> = { ip: 4, ip6: 6 };
const FILTER = /^(?:(?<family>ip|ip6)(?= |$) ?)?(?:(?<protocol>tcp|udp|icmp)(?= |$) ?)?(?:port (?<port>\d{1,5}))?$/;
const MAX_PORT = 65_535;

/** Without words, all packets. Throws a PathproofError (`usage`) that names the grammar. */
export function parseFilter(text: string): PacketFilter {
	const { family, protocol, port } = FILTER.exec(text.trim().replace(/\s+/g, ' '))?.groups ?? refuse(text);
	if (port !== undefined && (Number(port) > MAX_PORT || Number(port) === 0 || protocol === 'icmp')) refuse(text);
	return {
		...(family && { family: FAMILIES[family]! }),
		...(protocol && { protocol: protocol as NonNullable<PacketFilter['protocol']> }),
		...(port && { port: Number(port) }),
	};
}

function refuse(text: string): never {
	throw new PathproofError(`"${text}" is no filter`, {
		stage: 'usage',
		hint: `write ${FILTER_GRAMMAR}, e.g. --filter 'udp port 53'`,
	});
}

/** As the tracer takes it: a packet without ports, as a later fragment, may belong to one that has them. */
export function filterTakes({ family, protocol, port }: PacketFilter, packet: PacketTuple): boolean {
	const { sourcePort, destinationPort } = packet;
	return (
		(family === undefined || family === packet.family) &&
		(protocol === undefined || protocol === packet.protocol) &&
		(port === undefined || sourcePort === null || port === sourcePort || port === destinationPort)
	);
}
