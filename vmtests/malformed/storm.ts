/** Frames that no stack would send, by the hundred: seeded, so that a failure is made again by its seed and the frame's number. Pure. */
import {
	arp,
	buildFrame,
	ETHERTYPE,
	echoRequest,
	emptyOptions,
	icmp,
	neighbourMessage,
	type PacketOptions,
	PROTOCOL,
	routeOption,
	routingHeader,
	type Transport,
	tcp,
	udp,
} from '../support/frames.ts';

export const STORMS = ['IPv6', 'IPv4', 'random'] as const;
export type Storm = (typeof STORMS)[number];

/** Who may be meant, and who may be said to have sent it. */
export interface Parties {
	/** the sender's own first: half of all frames say so */
	sources: { ipv6: string; ipv4: string }[];
	destinations: { ipv6: string; ipv4: string }[];
	macs: string[];
}

/** Tommy Ettinger's mulberry32: the same numbers for the same seed, on every machine. */
function randomNumbers(seed: number): (below: number) => number {
	let state = seed >>> 0;
	return (below) => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
	};
}

type Random = ReturnType<typeof randomNumbers>;

const ETHERNET = 14;
/** Fits into every device of a lab. */
const LARGEST = 1500;

/** As many frames as asked for. The first ones of a family are one good frame cut off after each of its bytes. */
export function storm(kind: Storm, count: number, seed: number, parties: Parties): Buffer[] {
	const random = randomNumbers(seed);
	if (kind === 'random') return Array.from({ length: count }, () => noise(random, parties));
	const family = kind === 'IPv6' ? 6 : 4;
	const whole = goodFrame(family, random, parties);
	const cut = Array.from({ length: Math.min(whole.length, count) }, (_, length) => whole.subarray(0, length));
	return [...cut, ...Array.from({ length: count - cut.length }, () => badFrame(family, random, parties))];
}

function bytes(random: Random, length: number): Buffer {
	return Buffer.from(Array.from({ length }, () => random(256)));
}

function pick<T>(random: Random, among: readonly T[]): T {
	return among[random(among.length)]!;
}

/** Any bytes at all; half of them say that they are what the host's programs look into. */
function noise(random: Random, { macs }: Parties): Buffer {
	const frame = bytes(random, ETHERNET + random(LARGEST));
	if (random(2)) Buffer.from(pick(random, macs).replaceAll(':', ''), 'hex').copy(frame);
	if (random(2)) frame.writeUInt16BE(pick(random, Object.values(ETHERTYPE)), 12);
	return frame;
}

function goodFrame(family: 4 | 6, random: Random, parties: Parties): Buffer {
	return buildFrame({
		to: pick(random, parties.macs),
		from: pick(random, parties.macs),
		payload: packet(family, random, parties),
	});
}

function badFrame(family: 4 | 6, random: Random, parties: Parties): Buffer {
	const tags = random(12)
		? []
		: Array.from({ length: 1 + random(3) }, () => ({ id: random(4096), type: pick(random, [0x8100, 0x88a8]) }));
	const [to, from] = [pick(random, parties.macs), pick(random, parties.macs)];
	const neighbourly = !random(10);
	const frame =
		neighbourly && family === 4
			? buildFrame({ to, from, tags, payload: arpMessage(random, parties) })
			: buildFrame({
					to,
					from,
					tags,
					// now and then it says that it is something else
					...(random(20) ? {} : { type: pick(random, Object.values(ETHERTYPE)) }),
					payload: neighbourly ? neighbourPacket(random, parties) : packet(family, random, parties),
				});
	for (let harm = random(4); harm > 0; harm--) pick(random, HARMS[family])(frame, random);
	return random(8) ? frame : frame.subarray(0, random(frame.length));
}

function packet(family: 4 | 6, random: Random, { sources, destinations }: Parties): PacketOptions {
	const of = (party: { ipv6: string; ipv4: string }) => (family === 6 ? party.ipv6 : party.ipv4);
	const source = of(random(2) ? sources[0]! : pick(random, sources));
	const destination = of(pick(random, destinations));
	return {
		source,
		destination,
		transport: transport(family, random),
		hops: pick(random, [0, 1, 64, 255]),
		...(family === 6
			? { extensions: Array.from({ length: random(3) * random(4) }, () => extension(random, destination)) }
			: {
					options: pick(random, [
						undefined,
						undefined,
						undefined,
						routeOption(131, [destination]),
						routeOption(7, [source]),
						bytes(random, random(40)),
					]),
				}),
		...(random(5)
			? {}
			: { fragment: { id: random(4), offset: 8 * random(8), length: 8 + random(64), more: random(2) === 1 } }),
	};
}

function transport(family: 4 | 6, random: Random): Transport {
	const data = bytes(random, random(100));
	const kind = random(7);
	if (kind === 0) return tcp(random(65536), pick(random, [22, 80, 4242]), data, random(256));
	if (kind === 1) return echoRequest(family, data);
	if (kind === 2) return icmp(family, random(256), random(256), data);
	if (kind === 3) return { protocol: random(256), bytes: data };
	const datagram = udp(random(65536), pick(random, [53, 4242, 0]), data);
	// a checksum of nothing but what it may be
	return kind === 4 ? { ...datagram, checksumAt: undefined } : datagram;
}

function extension(random: Random, destination: string) {
	const kind = random(5);
	if (kind === 0) return routingHeader(pick(random, [0, 2, 4, 253]), [destination]);
	if (kind === 1) return emptyOptions(PROTOCOL.destination);
	if (kind === 2) return emptyOptions(PROTOCOL.hopByHop);
	// says how long it is, and is not
	return { protocol: pick(random, Object.values(PROTOCOL)), rest: bytes(random, pick(random, [1, 7, 15])) };
}

function arpMessage(random: Random, { sources, destinations, macs }: Parties): Buffer {
	return arp({
		operation: random(2) ? 'request' : 'reply',
		senderMac: pick(random, macs),
		sender: pick(random, sources).ipv4,
		target: pick(random, destinations).ipv4,
	});
}

function neighbourPacket(random: Random, { sources, destinations, macs }: Parties): PacketOptions {
	return {
		source: pick(random, sources).ipv6,
		destination: pick(random, ['ff02::1', 'ff02::1:ff00:1', 'fe80::1', ...destinations.map(({ ipv6 }) => ipv6)]),
		hops: pick(random, [255, 255, 64]),
		transport: neighbourMessage(random(2) ? 'solicitation' : 'advertisement', {
			target: pick(random, ['fe80::1', pick(random, destinations).ipv6]),
			mac: pick(random, macs),
		}),
	};
}

type Harm = (frame: Buffer, random: Random) => void;

function byte(at: number, value: (random: Random) => number): Harm {
	return (frame, random) => {
		if (frame.length > at) frame[at] = value(random);
	};
}

const ANYWHERE: Harm = (frame, random) => {
	if (frame.length > ETHERNET) frame[ETHERNET + random(frame.length - ETHERNET)] = random(256);
};

const HARMS: Record<4 | 6, Harm[]> = {
	6: [
		ANYWHERE,
		// the version
		byte(ETHERNET, (random) => random(256)),
		// the payload's length, either byte
		byte(ETHERNET + 4, (random) => pick(random, [0, 1, 255])),
		byte(ETHERNET + 5, (random) => random(256)),
		// what comes next
		byte(ETHERNET + 6, (random) => random(256)),
	],
	4: [
		ANYWHERE,
		// version and length of the header
		byte(ETHERNET, (random) => 0x40 | random(16)),
		byte(ETHERNET, (random) => random(256)),
		// the total length, either byte
		byte(ETHERNET + 2, (random) => pick(random, [0, 1, 255])),
		byte(ETHERNET + 3, (random) => random(256)),
		// where a fragment begins, either byte
		byte(ETHERNET + 6, (random) => random(256)),
		byte(ETHERNET + 7, (random) => random(256)),
		// the checksum
		byte(ETHERNET + 10, (random) => random(256)),
	],
};
