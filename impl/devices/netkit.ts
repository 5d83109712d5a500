/**
 * A netkit pair: the program decides inside the sender's own transmit call, no backlog between (6.7, 35dfaad7188c). Both ends
 * are born with the policy `blackhole`: until a program is attached, and if it never is, nothing leaks.
 */
import type { DevicePair, PairKind } from './device.ts';

/** The host end is the primary: programs of both sides are attached by it, and the container cannot reach them. */
export const NETKIT_L2: PairKind = {
	create: ({ name, netns, inner, hostMac, innerMac, mtu }) => [
		`link add name ${name} address ${hostMac} mtu ${mtu} type netkit mode l2 blackhole peer blackhole name ${inner} address ${innerMac} mtu ${mtu} netns ${netns}`,
	],
	open,
	ethernet: true,
	hook: 'netkit',
};

/** No Ethernet header, no MAC, no neighbours. */
export const NETKIT_L3: PairKind = {
	create: ({ name, netns, inner, mtu }) => [
		`link add name ${name} mtu ${mtu} type netkit mode l3 blackhole peer blackhole name ${inner} mtu ${mtu} netns ${netns}`,
	],
	open,
	ethernet: false,
	hook: 'netkit',
};

function open({ name }: DevicePair): string[] {
	return [`link set dev ${name} type netkit forward peer forward`];
}
