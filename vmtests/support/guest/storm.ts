/** Frames by the hundred into one device, and what became of each of them. */
import { closeSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { deviceIndex } from '../../../impl/addresses.ts';
import type { ContainerRequest, Device, Forward } from '../../../impl/container.ts';
import { addContainer, removeContainer } from '../../../impl/net.ts';
import { inNetns } from '../../../impl/netns.ts';
import { explained } from './explain.ts';
import { linkAddress, openPacket, sendFrame } from './sockets.ts';
import { dropsNow, dropsSince, type Subject, settled, startWitness, type Witnessed } from './witness.ts';

export interface Weathered {
	/** by name: what the kernel said instead of taking a frame, or while it dropped it */
	errors: Record<string, number>;
	seen: Witnessed[];
	/** frames that had come to no end when all was read */
	underWay: number;
	/** by device and reason, by the datapath's own count */
	drops: Record<string, number>;
}

/** The container that sends: of a tenant of its own. */
export async function addSender(sender: Subject, device: Device, forward: Forward): Promise<void> {
	const { netns, ipv6, ipv4 } = sender;
	const request: ContainerRequest = {
		name: netns,
		device,
		forward,
		ipv6,
		ipv4,
		uplinks: [{ device: 'eth0', ipv6NextHop: '2001:db8:0:1::2', ipv4NextHop: '192.0.2.2' }],
	};
	await explained(() => addContainer(request));
}

export async function removeSender({ netns }: Pick<Subject, 'netns'>): Promise<void> {
	await explained(() => removeContainer(netns));
}

/** By eth0 of the sender's netns, one after the other. */
export function weather(sender: Subject, frames: readonly Uint8Array[]): Promise<Weathered> {
	return explained(async () => {
		const before = await startTogether(sender);
		const errors: Record<string, number> = {};
		inNetns(sender.netns, () => {
			const fd = openPacket();
			const ifindex = deviceIndex('eth0');
			for (const frame of frames) {
				const type = frame.length >= 14 ? Buffer.from(frame).readUInt16BE(12) : 0;
				const error = sendFrame(fd, frame, linkAddress(ifindex, type));
				if (error) errors[error] = (errors[error] ?? 0) + 1;
			}
			closeSync(fd);
		});
		return { errors, ...(await readTogether(before)) };
	});
}

/** The witness and the datapath's own count, between two drops: what a kernel says of itself meanwhile is dropped too. */
async function startTogether(sender: Subject): Promise<Record<string, number>> {
	for (;;) {
		const before = dropsNow();
		await startWitness(sender);
		if (isDeepStrictEqual(before, dropsNow())) return before;
	}
}

async function readTogether(before: Record<string, number>): Promise<Omit<Weathered, 'errors'>> {
	for (;;) {
		const drops = dropsSince(before);
		const testimony = await settled();
		if (isDeepStrictEqual(drops, dropsSince(before))) return { ...testimony, drops };
	}
}
