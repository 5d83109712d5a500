import { describe, expect, test } from 'pathproof';
import { captured, frameLengths } from '../support/capture.ts';
import { FULL } from '../support/config.ts';
import { containerOf, FAMILIES, OTHERS, type Row, run, SAMPLE, stream } from './rows.ts';

/** Ethernet's header and 1,500 bytes */
const WHOLE_FRAME = 1514;

function cut(row: Row): void {
	test('a container sends many segments as one packet, and the wire carries frames', async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const { peer } = made;
		const sender = containerOf(made, row);
		await run(peer, 'ethtool -K eth0 gro off'); // it would join them again
		// as on a fast host: on a slow one TCP paces itself with packets of two segments
		await run(sender, 'sysctl -qw net.ipv4.tcp_min_tso_segs=40');
		for (const family of FAMILIES) {
			let outside = '';
			const inside = await captured(sender, '-e -i eth0 tcp dst port 7', async () => {
				outside = await captured(peer, '-e -i eth0 tcp dst port 7', () => stream(sender, peer, 500_000, { family }));
			});
			expect(Math.max(...frameLengths(inside))).toBeGreaterThan(5 * WHOLE_FRAME);
			expect(Math.max(...frameLengths(outside))).toBe(WHOLE_FRAME);
		}
	});

	test('frames of one flow are joined on their way in, and reach the container so', async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const receiver = containerOf(made, row);
		const counted = async () => Number(await run(made.host, 'cat /sys/class/net/eth0/statistics/rx_packets'));
		for (const family of FAMILIES) {
			const before = await counted();
			const inside = await captured(receiver, '-e -i eth0 tcp dst port 7', () =>
				stream(made.peer, receiver, 500_000, { family }),
			);
			expect(Math.max(...frameLengths(inside))).toBeGreaterThan(WHOLE_FRAME);
			// 500,000 bytes in segments of 1,460 bytes at most
			expect((await counted()) - before).toBeGreaterThan(500_000 / 1_460);
		}
	});

	test('datagrams that were sent as one, for the wire to cut, arrive as many', async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const { peer } = made;
		const sender = containerOf(made, row);
		for (const family of FAMILIES) {
			await using sink = await peer.spawn(['socat', '-u', '-dd', `UDP${family}-RECV:53`, 'STDOUT']);
			await sink.waitFor(/starting data transfer loop/, 30_000);
			let outside = '';
			const inside = await captured(sender, '-e -i eth0 udp dst port 53', async () => {
				outside = await captured(peer, '-e -i eth0 udp dst port 53', () =>
					run(
						sender,
						// SOL_UDP, UDP_SEGMENT
						`head -c 20000 /dev/zero | socat -u -b 20000 - UDP${family}-SENDTO:${peer.literal(family)}:53,setsockopt=17:103:i1000`,
					),
				);
			});
			const header = 14 + (family === 6 ? 40 : 20) + 8;
			expect(frameLengths(inside)).toEqual([header + 20_000]);
			expect(frameLengths(outside)).toEqual(Array(20).fill(header + 1_000));
		}
	});
}

/** On a veth wire nothing is cut before it is delivered. */
const ON_VIRTIO = OTHERS.filter(({ wire }) => wire === 'virtio');
describe.for(SAMPLE.slice(0, 1))('segments: $title', { tags: [FULL] }, cut);
describe.for([...SAMPLE.slice(1), ...ON_VIRTIO])('segments: $title', { tags: [FULL] }, cut);
