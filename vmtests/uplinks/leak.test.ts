import { describe, expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import { beyond, inHost, PAIRS, peerByEth1, SLAVES, sourcesAt, type Wired } from './two-wires.ts';

/** web has eth0 alone, api eth1. */
const CONTAINERS = { web: { uplinks: ['eth0'] }, api: { uplinks: ['eth1'] } } satisfies Wired['lab']['containers'];
const WIRED: readonly Wired[] = [
	{
		title: 'veth: web by stack, api by redirect',
		needs: ['veth'],
		lab: {
			device: 'veth',
			forward: 'stack',
			containers: { ...CONTAINERS, api: { uplinks: ['eth1'], forward: 'redirect' } },
		},
	},
	...PAIRS.flatMap((device) =>
		(['stack', 'redirect', 'fib'] as const).map(
			(forward): Wired => ({
				title: `${device}, ${forward}`,
				needs: DEVICE_NEEDS[device],
				lab: { device, forward, containers: CONTAINERS },
			}),
		),
	),
	...PAIRS.map(
		(device): Wired => ({
			title: `${device}, redirect-egress`,
			needs: [...DEVICE_NEEDS[device], 'redirect-peer-egress'],
			lab: { device, forward: 'redirect-egress', containers: CONTAINERS },
		}),
	),
	...SLAVES.map(
		(device): Wired => ({
			title: `${device}, native`,
			needs: DEVICE_NEEDS[device],
			lab: { device, forward: 'native', containers: CONTAINERS },
		}),
	),
];

const WEB = ['2001:db8:0:2::10', '198.51.100.10'];
const API = ['2001:db8:0:2::11', '198.51.100.11'];

/** One echo request and one datagram to each, all at once. */
function tryAll(addresses: readonly string[]): string {
	const socat = (address: string) =>
		address.includes(':') ? `UDP6-SENDTO:[${address}]:53` : `UDP4-SENDTO:${address}:53`;
	return [
		...addresses.map((address) => `ping -c1 -W1 ${address} >/dev/null 2>&1 &`),
		...addresses.map((address) => `echo | socat -u - ${socat(address)} 2>/dev/null &`),
		'wait',
	].join('\n');
}

function closed({ needs, lab: wired }: Wired): void {
	const causes = [
		{ of: 'web', uplink: 'eth0', other: 'eth1', leaver: WEB, stayer: API },
		{ of: 'api', uplink: 'eth1', other: 'eth0', leaver: API, stayer: WEB },
	] as const;
	for (const { of, uplink, other, leaver, stayer } of causes) {
		test(`with ${uplink} down nothing of ${of} is on ${other}`, async ({ lab, requires }) => {
			await requires(...needs);
			const made = await lab(wired);
			const ends = [made.peer, peerByEth1(made), beyond(made)].flatMap(({ ipv6, ipv4 }) => [ipv6, ipv4]);
			const [gone, there] = of === 'web' ? [made.web, made.api] : [made.api, made.web];
			await inHost(made, `ip link set dev ${uplink} down`);
			const seen = await sourcesAt(made, other, async () => {
				await gone.exec(['sh', '-c', tryAll(ends)]);
				await there.exec(['sh', '-c', tryAll(ends)]);
			});
			expect(stayer.filter((address) => seen.has(address))).toEqual(stayer);
			expect(leaver.filter((address) => seen.has(address))).toEqual([]);
		});
	}
}

const TITLE = 'who has one uplink is closed without it: $title';
describe.for(WIRED)(TITLE, { tags: [FULL] }, closed);
