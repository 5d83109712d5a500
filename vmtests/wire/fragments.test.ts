import { describe, expect, type Packets, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';
import { containerOf, FAMILIES, OTHERS, type Row, run, SAMPLE } from './rows.ts';

const SIZE = 4_000;
/** Of a datagram of 8 + 4,000 bytes over 1,500: 1,480 bytes each in IPv4, 1,448 in IPv6. */
const PIECES = 3;

const JUDGE = {
	redirect: 'egress_neigh → redirect',
	fib: 'egress_fib → redirect',
	stack: 'egress_guard → pass',
} as const;

/** How many of the packets went there. */
function through(
	packets: Packets & Iterable<{ hops: readonly { hop: string; program: string | null }[] }>,
	hop: string,
	program: string | null,
): number {
	return [...packets].filter(({ hops }) => hops.some((one) => one.hop === hop && one.program === program)).length;
}

function fragmented(row: Row): void {
	test(
		'a datagram that is larger than the wire goes out in pieces, each of them judged',
		turn(2, ...row.needs),
		async ({ lab, requires }) => {
			await requires(...row.needs);
			const made = await lab(row.lab);
			const sender = containerOf(made, row);
			const [program] = JUDGE[row.forward as keyof typeof JUDGE].split(' ');
			for (const family of FAMILIES) {
				const trace = await sender.udp(made.peer, 53, { family, size: SIZE });
				expect(through(trace.out, `host:${row.who} ingress`, program!)).toBe(PIECES);
				expect(through(trace.out, 'host:eth0 xmit', null)).toBe(PIECES);
			}
		},
	);

	test(
		'its answer comes in in pieces, and is put together inside',
		turn(0, ...row.needs),
		async ({ lab, requires }) => {
			await requires(...row.needs);
			const made = await lab(row.lab);
			const receiver = containerOf(made, row);
			for (const family of FAMILIES) {
				const trace = await made.peer.udp(receiver, 53, { family, size: SIZE });
				expect(through(trace.in, 'peer:eth0 xmit', null)).toBe(PIECES);
				if (row.wire === 'veth' && row.forward !== 'stack')
					expect(through(trace.in, 'host:eth0 ingress', 'ingress_peer')).toBe(PIECES);
			}
		},
	);
}

/**
 * A NIC leaves what fills its buffer in pages, IP header and all, and nothing but GRO pulls it out; of IPv4's fragments not even GRO. What
 * the program cannot read it leaves to the host's stack, which has no way for it.
 */
test(
	'each piece finds its way in, wherever the NIC has put its header',
	turn(1, ...SAMPLE[0]!.needs),
	async ({ lab, requires }) => {
		const [row] = SAMPLE;
		await requires(...row!.needs);
		const { host, peer, web } = await lab(row!.lab);
		await run(host, 'ethtool -K eth0 gro off');
		for (const family of FAMILIES)
			for (let times = 0; times < 4; times++) await peer.udp(web, 53, { family, size: 20_000 });
	},
);

describe.for(SAMPLE.slice(0, 1))('fragments: $title', fragmented);
describe.for([...SAMPLE.slice(1), ...OTHERS])('fragments: $title', { tags: [FULL] }, fragmented);
