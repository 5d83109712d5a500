/** A veth pair: two Ethernet devices; what one sends enters the other's backlog. */
import type { DeviceKind } from './device.ts';

export const VETH: DeviceKind = {
	create: ({ name, netns, inner, hostMac, innerMac }) => [
		`link add name ${name} address ${hostMac} type veth peer name ${inner} address ${innerMac} netns ${netns}`,
	],
	// nothing to open: a veth pair passes packets from its first moment on
	open: () => [],
	ethernet: true,
	hook: 'tc',
};
