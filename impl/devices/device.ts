/**
 * What joins a container's netns to the host's. A pair has an inner end, `eth0`, and a host end that bears the container's name; a
 * slave of an uplink is `eth0` and nothing else; `none` shares the host's netns.
 */
import type { Device } from '../container.ts';
import { NETKIT_L2, NETKIT_L3 } from './netkit.ts';
import { VETH } from './veth.ts';

/** Of every device inside a container. */
export const INNER = 'eth0';

export interface DevicePair {
	/** of the host end, and of the container */
	name: string;
	netns: string;
	/** of the inner end */
	inner: string;
	hostMac: string;
	innerMac: string;
	/** of both ends: the uplink's */
	mtu: number;
}

/** Of a device, as `ip -details` prints them in JSON. */
export type Settings = Record<string, string | boolean>;

/** Commands for `ip -batch`; nothing here runs them. */
export interface PairKind {
	/** in the host's netns: makes both ends, down */
	create(pair: DevicePair): string[];
	/** in the host's netns, once the programs are attached: lets packets through */
	open(pair: Pick<DevicePair, 'name'>): string[];
	/** what `ip -details` says of its host end from then on */
	opened: Settings;
	/** frames have MAC addresses, and neighbours have to be found */
	ethernet: boolean;
	/** where a program sees what the container sends */
	hook: 'netkit' | 'tc';
}

export const PAIRS = {
	veth: VETH,
	'netkit-l2': NETKIT_L2,
	'netkit-l3': NETKIT_L3,
} as const satisfies Partial<Record<Device, PairKind>>;

/** null: the device is no pair */
export function pairKind(device: Device): PairKind | null {
	return device in PAIRS ? PAIRS[device as keyof typeof PAIRS] : null;
}
