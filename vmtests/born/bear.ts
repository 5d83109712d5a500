/** A container's birth, watched by an owner who sends from its first instant on what it may never send. */
import { buildFrame, udp } from '../support/frames.ts';
import type { Birth, Order } from '../support/guest/born.ts';
import type { Device, Forward, Lab } from '../support/index.ts';

const GUEST = 'vmtests/support/guest/born.ts';
const SPOOFED = { ipv6: '2001:db8:0:66::66', ipv4: '198.51.100.66' };
/** One is everybody's; the other goes through where a device routes, and takes nothing for everybody. */
const MACS = ['ff:ff:ff:ff:ff:ff', '02:00:00:00:00:66'];

/** From somebody who does not exist: to the host itself, to another tenant's container, to the peer beyond the wire. */
function spoofedFrames({ host, web, peer }: Lab): Buffer[] {
	return MACS.flatMap((to) =>
		[host, web, peer].flatMap((node) =>
			([6, 4] as const).map((family) =>
				buildFrame({
					to,
					from: '02:00:00:00:00:67',
					payload: {
						source: family === 6 ? SPOOFED.ipv6 : SPOOFED.ipv4,
						destination: node.address(family),
						transport: udp(4242, 4242, 'from nobody'),
					},
				}),
			),
		),
	);
}

/** Answers what bears one container after the other in this lab. */
export async function bearer(lab: Lab): Promise<(device: Device, forward: Forward, order: Order) => Promise<Birth>> {
	const guest = lab.vm.use<typeof import('../support/guest/born.ts')>(GUEST);
	const frames = spoofedFrames(lab).map((frame) => frame.toString('hex'));
	return (device, forward, order) => guest.bear(device, forward, order, frames);
}
