/**
 * Inside a container's netns, as its owner: waits for eth0, brings it up, gives it an address, and sends frames as fast as it can.
 *
 *   stdin   a line for each round: the frames          stdout   {"ready":true}
 *                                                               {"attempts":1234,"errors":{"ENETDOWN":3}}
 */
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { findDevice } from '../../../impl/addresses.ts';
import { addIpv6Address, bringUp, calls, linkAddress, openPacket, sendFrame } from './sockets.ts';

const DEVICE = 'eth0';
/** How often it looks whether the round is over: a look is a system call too. */
const LOOKS = 32;

export interface Round {
	attempts: number;
	/** by name: what the kernel said instead of taking a frame */
	errors: Record<string, number>;
}

/** `address`: what eth0 is given, somebody else's. `over`: a file that is there once the round is over. */
export async function serveRounds(address: string, over: string): Promise<void> {
	const fd = openPacket();
	// warm: the first frame must not wait for a page of code
	findDevice(DEVICE);
	calls.access(over, 0);
	const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
	say({ ready: true });
	for await (const line of createInterface({ input: process.stdin })) {
		const frames = (JSON.parse(line) as string[]).map((frame) => Buffer.from(frame, 'hex'));
		say({ waiting: true });
		say(round(fd, frames, address, over));
	}
}

function round(fd: number, frames: readonly Buffer[], address: string, over: string): Round {
	const round: Round = { attempts: 0, errors: {} };
	let ifindex = findDevice(DEVICE);
	while (!ifindex && !isOver(over)) ifindex = findDevice(DEVICE);
	if (!ifindex) return round;
	try {
		bringUp(DEVICE);
		addIpv6Address(ifindex, address);
	} catch (error) {
		// taken away in that instant
		if (existsSync(`/sys/class/net/${DEVICE}`)) throw error;
	}
	const addressed = frames.map((frame) => [frame, linkAddress(ifindex, frame.readUInt16BE(12))] as const);
	// some even where it comes to run when the round is over: of a birth that nobody tried nothing is known
	do {
		const [frame, to] = addressed[round.attempts % addressed.length]!;
		const error = sendFrame(fd, frame, to);
		round.attempts++;
		if (error) round.errors[error] = (round.errors[error] ?? 0) + 1;
	} while (round.attempts % LOOKS || !isOver(over));
	return round;
}

function isOver(path: string): boolean {
	return calls.access(path, 0) === 0;
}
