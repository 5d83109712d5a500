/** What joins a container's netns to the host's: a pair whose inner end is `eth0`, whose host end bears the container's name. */
import { DatapathError } from '../errors.ts';
import { NETKIT_L2, NETKIT_L3 } from './netkit.ts';
import { VETH } from './veth.ts';

export interface DevicePair {
	/** of the host end, and of the container */
	name: string;
	netns: string;
	/** of the inner end */
	inner: string;
	hostMac: string;
	innerMac: string;
}

/** Commands for `ip -batch`; nothing here runs them. */
export interface DeviceKind {
	/** in the host's netns: makes both ends, down */
	create(pair: DevicePair): string[];
	/** in the host's netns, once the programs are attached: lets packets through */
	open(pair: DevicePair): string[];
	/** frames have MAC addresses, and neighbours have to be found */
	ethernet: boolean;
	/** where a program sees what the container sends */
	hook: 'netkit' | 'tc';
}

export const DEVICE_KINDS: Record<string, DeviceKind> = {
	veth: VETH,
	'netkit-l2': NETKIT_L2,
	'netkit-l3': NETKIT_L3,
};

/** Throws a DatapathError for a device that is not built. */
export function deviceKind(name: string): DeviceKind {
	const kind = DEVICE_KINDS[name];
	if (kind) return kind;
	throw new DatapathError(`no container can be wired by ${name}`, {
		hint: `use one of ${Object.keys(DEVICE_KINDS).join(', ')}`,
	});
}
