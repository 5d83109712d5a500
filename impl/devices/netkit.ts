/**
 * A netkit pair: the program decides inside the sender's own transmit call, no backlog between (6.7, 35dfaad7188c). Both ends
 * are born with the policy `blackhole`: until a program is attached, and if it never is, nothing leaks.
 */
import type { DevicePair, PairKind, Settings } from './device.ts';

/** What may be set once it is made, by the host alone: its mode and what it scrubs never. */
const OPENED: Settings = { policy: 'forward', peer_policy: 'forward' };

/** The host end is the primary: programs of both sides are attached by it, and the container cannot reach them. */
export const NETKIT_L2: PairKind = {
	create: ({ name, netns, inner, hostMac, innerMac, mtu }) => [
		`link add name ${name} address ${hostMac} mtu ${mtu} type netkit mode l2 blackhole peer blackhole name ${inner} address ${innerMac} mtu ${mtu} netns ${netns}`,
	],
	open,
	opened: OPENED,
	ethernet: true,
	hook: 'netkit',
};

/** No Ethernet header, no MAC, no neighbours. */
export const NETKIT_L3: PairKind = {
	create: ({ name, netns, inner, mtu }) => [
		`link add name ${name} mtu ${mtu} type netkit mode l3 blackhole peer blackhole name ${inner} mtu ${mtu} netns ${netns}`,
	],
	open,
	opened: OPENED,
	ethernet: false,
	hook: 'netkit',
};

function open({ name }: Pick<DevicePair, 'name'>): string[] {
	return [`link set dev ${name} type netkit forward peer forward`];
}
