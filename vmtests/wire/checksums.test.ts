import { describe, expect, test } from 'pathproof';
import { captured } from '../support/capture.ts';
import { FULL } from '../support/config.ts';
import { containerOf, FAMILIES, OTHERS, type Row, run, SAMPLE, stream } from './rows.ts';

/** How many checksums tcpdump found right and wrong. */
function sums(printed: string): { right: number; wrong: number } {
	return {
		right: printed.match(/\(correct\)|udp sum ok|icmp6 sum ok/g)?.length ?? 0,
		wrong: printed.match(/\(incorrect|bad udp cksum|bad icmp6 cksum|bad cksum/g)?.length ?? 0,
	};
}

const WATCHED = '-vv -i eth0 tcp port 7 or udp port 53';

function summed(row: Row): void {
	const real = row.wire === 'virtio';

	const out = real
		? 'what a container sends arrives with its checksums filled in and right'
		: 'what a container sends arrives without its checksums: a veth wire never fills them in';
	test(out, async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const sender = containerOf(made, row);
		// each frame as it was on the wire
		await run(made.peer, 'ethtool -K eth0 gro off');
		for (const family of FAMILIES) {
			const printed = await captured(made.peer, `${WATCHED} and src ${sender.address(family)}`, async () => {
				await sender.udp(made.peer, 53, { family });
				expect(await stream(sender, made.peer, 60_000, { family })).toBe(60_000);
			});
			const { right, wrong } = sums(printed);
			if (real) {
				expect(wrong).toBe(0);
				// a datagram, and 60,000 bytes in segments of 1,440 bytes at most
				expect(right).toBeGreaterThan(1 + 60_000 / 1_440);
			} else expect(wrong).toBeGreaterThan(1);
		}
	});

	test('what a container gets has checksums that are right, or were vouched for', async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const receiver = containerOf(made, row);
		// of segments that were joined only the sum of the addresses is left
		await run(made.host, 'ethtool -K eth0 gro off');
		for (const family of FAMILIES) {
			const printed = await captured(receiver, `${WATCHED} and dst ${receiver.address(family)}`, async () => {
				await made.peer.udp(receiver, 53, { family });
				expect(await stream(made.peer, receiver, 20_000, { family })).toBe(20_000);
			});
			const { right, wrong } = sums(printed);
			if (real) expect(wrong).toBe(0);
			expect(right + wrong).toBeGreaterThan(2);
		}
	});
}

describe.for(SAMPLE.slice(0, 1))('checksums: $title', { tags: [FULL] }, summed);
describe.for([...SAMPLE.slice(1), ...OTHERS])('checksums: $title', { tags: [FULL] }, summed);
