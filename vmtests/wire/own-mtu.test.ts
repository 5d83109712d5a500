import { type Device, describe, expect, type Forward, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { FAMILIES, run } from './rows.ts';

/**
 * A container whose owner raised its MTU above the uplink's, and then sends a datagram that fits its own. Nobody forwards it; who says so,
 * and whether to the container, is a difference between the ways.
 */
const DIFFERENCES = [
	{ device: 'veth', forward: 'stack', ends: 'at the pair', told: false },
	{ device: 'veth', forward: 'redirect', ends: 'at the pair', told: false },
	{ device: 'veth', forward: 'fib', ends: 'at the pair', told: false },
	{ device: 'netkit-l3', forward: 'stack', ends: 'in the stack', told: true },
	{ device: 'netkit-l3', forward: 'redirect', ends: 'at the uplink', told: false },
	{ device: 'netkit-l3', forward: 'fib', ends: 'in the program', told: false },
	{ device: 'netkit-l2', forward: 'stack', ends: 'in the stack', told: true },
	{ device: 'netkit-l2', forward: 'redirect', ends: 'at the uplink', told: false },
	{ device: 'netkit-l2', forward: 'fib', ends: 'in the program', told: false },
] as const satisfies { device: Device; forward: Forward; ends: string; told: boolean }[];

/** The last hop of what is lost. */
const LAST = {
	'at the pair': /^web:eth0 xmit$/,
	'in the stack': /^host ip6? (receive|forward)$/,
	'at the uplink': /^host:eth0 xmit$/,
	'in the program': /^host:web ingress$/,
} as const;

function raised({ device, forward, ends, told }: (typeof DIFFERENCES)[number]): void {
	test(`what is too big for the uplink ends ${ends}, and the container is ${told ? '' : 'not '}told`, async ({
		lab,
		requires,
	}) => {
		await requires(device === 'veth' ? 'veth' : 'netkit');
		const { web, peer, drops } = await lab({ device, forward, wire: 'veth' });
		expect(await run(web, 'cat /sys/class/net/eth0/mtu')).toBe('1500\n');
		await run(web, 'ip link set dev eth0 mtu 3000');
		for (const family of FAMILIES) {
			const { out } = await web.udp(peer, 53, { family, size: 2_000, listen: false });
			const [lost] = out.filter(({ packet }) => packet.protocol === 'udp');
			expect(lost!.delivered).toBe(false);
			expect(lost!.hops.findLast(({ hop }) => !hop.startsWith('drop '))!.hop).toMatch(LAST[ends]);
			const known = await run(web, `ip -${family} route get ${peer.address(family)}`);
			expect(/ mtu 1500/.test(known)).toBe(told);
			// once it is told, the next one goes in pieces
			if (told) await web.udp(peer, 53, { family, size: 2_000 });
		}
		const counted = (await drops()).filter(({ reason }) => reason === 'TOO_BIG');
		expect(counted).toEqual(ends === 'in the program' ? [{ at: 'host:web', reason: 'TOO_BIG', count: 2 }] : []);
	});
}

const TITLE = 'an MTU of its own: $device, $forward';
describe.for(DIFFERENCES.slice(1, 2))(TITLE, { tags: [FULL] }, raised);
describe.for([DIFFERENCES[0], ...DIFFERENCES.slice(2)])(TITLE, { tags: [FULL] }, raised);
