/** Where a device is that a program is attached to: who owns its netns may rename it, and move it to a netns within that. */
import { existsSync } from 'node:fs';
import { deviceName } from '../addresses.ts';
import { attachedInOrder, linkInfo } from '../libbpf/enumerate.ts';
import { everyNetns, inNetns } from '../netns.ts';
import { type Attachment, withPinned } from './attach.ts';

export interface Whereabouts {
	/** a path */
	netns: string;
	device: string;
}

/** Null where no process is in its netns, and `ip netns` has none of it; or there is no such device. */
export function findAttached({ pin }: Attachment): Whereabouts | null {
	return withPinned(pin, (fd) => {
		const { id, ifindex, attachType } = linkInfo(fd)!;
		if (ifindex === 0) return null;
		for (const netns of everyNetns()) {
			try {
				const device = inNetns(netns, () =>
					attachedInOrder(ifindex, attachType).some(({ link }) => link === id) ? deviceName(ifindex) : null,
				);
				if (device !== null) return { netns, device };
			} catch (error) {
				// its process may have ended meanwhile
				if (existsSync(netns)) throw error;
			}
		}
		return null;
	});
}
