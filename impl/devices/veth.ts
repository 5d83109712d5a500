/** A veth pair: two Ethernet devices; what one sends enters the other's backlog. */
import type { PairKind } from './device.ts';

export const VETH: PairKind = {
	create: ({ name, netns, inner, hostMac, innerMac, mtu }) => [
		`link add name ${name} address ${hostMac} mtu ${mtu} type veth peer name ${inner} address ${innerMac} mtu ${mtu} netns ${netns}`,
	],
	// nothing to open: a veth pair passes packets from its first moment on
	open: () => [],
	opened: {},
	ethernet: true,
	hook: 'tc',
};
