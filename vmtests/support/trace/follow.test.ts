/** The events are recorded from a real kernel, see hops.test.ts. */
import { describe, expect, test } from 'vitest';
import recorded from '../../../fixtures/traces/netkit-redirect.json' with { type: 'json' };
import { Follower } from './follow.ts';
import type { PacketEvent, PacketPath } from './types.ts';

const { ping, udp } = recorded as unknown as Record<string, PacketEvent[]>;
const details = (packets: readonly PacketPath[]) => packets.map(({ packet }) => packet.detail);

describe('packets are told of as they finish', () => {
	test('each once, when it has come to its end and no more is heard of it', () => {
		const follower = new Follower();
		const middle = ping!.findIndex(({ kind }) => kind.endsWith(' deliver')) + 1;
		expect(details(follower.look(ping!.slice(0, 3), 0))).toEqual([]);
		expect(details(follower.look(ping!.slice(3, middle), 0))).toEqual([]);
		expect(details(follower.look(ping!.slice(middle), 0))).toEqual(['echo request seq 1']);
		expect(details(follower.look([], 0))).toEqual(['echo reply seq 1']);
		expect(details(follower.look([], 0))).toEqual([]);
		expect(details(follower.rest(0))).toEqual([]);
	});

	test('one that may wait in a queue is waited for longer', () => {
		const follower = new Follower();
		const onItsWay = udp!.slice(
			0,
			udp!.findIndex(({ kind }) => kind.endsWith(' deliver')),
		);
		const looks = [onItsWay, [], [], [], [], [], []].map((events) => details(follower.look(events, 0)));
		expect(looks).toEqual([[], [], [], [], [], ['datagram 1'], []]);
	});

	test('all others at the end, with what was lost until then', () => {
		const follower = new Follower();
		follower.look(ping!.slice(0, 3), 0);
		expect(follower.rest(2).map(({ fate, lostEvents }) => ({ fate, lostEvents }))).toEqual([
			{ fate: 'unexplained', lostEvents: 2 },
		]);
	});

	test('what comes late to a packet that was told of makes no packet', () => {
		const follower = new Follower();
		follower.look(udp!.slice(0, -1), 0);
		follower.rest(0);
		follower.look(udp!.slice(-1), 0);
		expect(follower.rest(0)).toEqual([]);
	});

	test('and forgotten where there are too many, without those that are on their way', () => {
		const follower = new Follower(udp!.length);
		follower.look(udp!, 0);
		expect(details(follower.look(ping!.slice(0, 3), 0))).toEqual(['datagram 1']);
		expect(details(follower.look(ping!.slice(3), 0))).toEqual([]);
		expect(details(follower.rest(0))).toEqual(['echo request seq 1', 'echo reply seq 1']);
	});
});
