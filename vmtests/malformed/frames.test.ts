/** Frames that no stack would send, through each attach point. A failure names the seed that makes the same frames again. */
import { type Device, describe, expect, type Forward, type Lab, test } from 'pathproof';
import type { FeatureName } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import type { Weathered } from '../support/guest/storm.ts';
import type { End } from '../support/guest/witness.ts';
import { turn } from '../support/turns.ts';
import { type Parties, STORMS, storm } from './storm.ts';

const GUEST = 'vmtests/support/guest/storm.ts';
/** Of each family, through each attach point. */
const FRAMES = 1000;
const SEED = 4;
/** Of FULL runs besides. */
const FURTHER_SEEDS = [5, 6, 7];

const LATE = { netns: 'late', ipv6: '2001:db8:0:2::20', ipv4: '198.51.100.20' };
const PEER = { netns: 'peer', ipv6: '2001:db8:0:1::2', ipv4: '192.0.2.2' };
const WEB = { ipv6: '2001:db8:0:2::10', ipv4: '198.51.100.10' };
const HOST = { ipv6: '2001:db8:0:1::1', ipv4: '192.0.2.1' };
const NOBODY = { ipv6: '2001:db8:0:66::66', ipv4: '198.51.100.66' };
const NOWHERE = { ipv6: '::', ipv4: '0.0.0.0' };
const LOOPBACK = { ipv6: '::1', ipv4: '127.0.0.1' };
const EVERYBODY = { ipv6: 'ff02::1', ipv4: '255.255.255.255' };

/** The first source is the sender's own. */
const FROM_CONTAINER: Omit<Parties, 'macs'> = {
	sources: [LATE, WEB, HOST, PEER, NOBODY, NOWHERE, LOOPBACK, EVERYBODY],
	destinations: [PEER, WEB, HOST, LATE, NOBODY, NOWHERE, LOOPBACK, EVERYBODY],
};
const FROM_WIRE: Omit<Parties, 'macs'> = {
	sources: [PEER, WEB, HOST, LATE, NOBODY, NOWHERE, LOOPBACK, EVERYBODY],
	destinations: [WEB, LATE, HOST, PEER, NOBODY, NOWHERE, LOOPBACK, EVERYBODY],
};
const MACS = ['ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', '33:33:00:00:00:01', '02:00:00:00:00:66'];

interface Point {
	device: Device;
	forward: Forward;
	needs: FeatureName[];
}

const POINTS: Point[] = [
	{ device: 'veth', forward: 'redirect', needs: ['veth'] },
	{ device: 'netkit-l3', forward: 'redirect', needs: ['netkit'] },
	{ device: 'netkit-l2', forward: 'redirect', needs: ['netkit'] },
	// nothing of an ipvlan container can be judged without links that move along with its device
	{ device: 'ipvlan-l2', forward: 'native', needs: ['ipvlan', 'tcx'] },
	{ device: 'ipvlan-l3', forward: 'native', needs: ['ipvlan', 'tcx'] },
	{ device: 'ipvlan-l3s', forward: 'native', needs: ['ipvlan', 'tcx'] },
];
/** The same programs at the same devices, and another one behind them. */
const FURTHER_POINTS: Point[] = [
	{ device: 'veth', forward: 'fib', needs: ['veth'] },
	{ device: 'veth', forward: 'stack', needs: ['veth'] },
	{ device: 'netkit-l3', forward: 'stack', needs: ['netkit'] },
	{ device: 'netkit-l2', forward: 'fib', needs: ['netkit'] },
];

/** How many came to one of these ends. */
function count({ seen }: Weathered, ...ends: End[]): number {
	return seen.filter(({ end }) => ends.includes(end)).reduce((sum, one) => sum + one.count, 0);
}

/** By output_guard, which is a program of netfilter's: the kernel gives its own reason. */
function refusedAsOutput({ seen }: Weathered): number {
	return seen.filter(({ reason }) => reason === 'NETFILTER_DROP').reduce((sum, one) => sum + one.count, 0);
}

const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, one) => sum + one, 0);

/** Every frame that was made has one end, and the datapath has counted what it dropped itself. */
function expectAccounts(weathered: Weathered, frames: number): void {
	expect(weathered.underWay).toBe(0);
	// too short for a frame, too long for the device; other errors tell what became of one that was sent
	const { EINVAL: short = 0, EMSGSIZE: long = 0 } = weathered.errors;
	expect(count(weathered, 'sent') + short + long).toBe(frames);
	expect(count(weathered, 'refused', 'dropped', 'consumed', 'stack', 'left', 'left foreign')).toBe(
		count(weathered, 'sent'),
	);
	// what the kernel itself has said meanwhile, such as that it listens to a group, is refused as well
	const refused = count(weathered, 'refused', 'other refused') + refusedAsOutput(weathered);
	expect(total(weathered.drops)).toBe(refused);
	expect(weathered.seen.filter(({ end, reason }) => end === 'dropped' && !reason)).toEqual([]);
}

async function stormFrom(made: Lab, subject: typeof LATE, parties: Omit<Parties, 'macs'>, seed: number) {
	const guest = made.vm.use<typeof import('../support/guest/storm.ts')>(GUEST);
	const macs = JSON.parse((await made.vm.exec(['ip', '-j', 'link'])).stdout) as { address: string }[];
	const all = { ...parties, macs: [...MACS, ...macs.map(({ address }) => address)] };
	const results: Weathered[] = [];
	for (const kind of STORMS) {
		const frames = storm(kind, FRAMES, seed, all);
		const weathered = await guest.weather(subject, frames);
		if (process.env.PATHPROOF_SHOW)
			console.log(
				seed,
				kind,
				JSON.stringify({ ...weathered, seen: undefined }),
				weathered.seen.map((s) => `\n  ${s.end} ${s.netns}:${s.device} ${s.reason} ${s.count}`).join(''),
			);
		expectAccounts(weathered, FRAMES);
		results.push(weathered);
	}
	return results;
}

async function fromContainer(made: Lab, { device, forward }: Point, seed: number): Promise<void> {
	const guest = made.vm.use<typeof import('../support/guest/storm.ts')>(GUEST);
	await guest.addSender(LATE, device, forward);
	for (const weathered of await stormFrom(made, LATE, FROM_CONTAINER, seed)) {
		const { seen } = weathered;
		// to nobody but the host and itself, and with nobody's source but its own
		expect(seen.filter(({ end, netns }) => end === 'stack' && !['host', 'late'].includes(netns))).toEqual([]);
		expect(seen.filter(({ end, netns }) => end === 'other' && netns === 'web')).toEqual([]);
		// an answer to ARP or a solicitation turns back
		expect(seen.filter(({ end, device }) => end === 'left foreign' && device !== 'late')).toEqual([]);
		expect(count(weathered, 'refused')).toBeGreaterThan(0);
	}
}

async function stillWorks({ vm, peer }: Lab): Promise<void> {
	for (const family of [6, 4] as const)
		await vm.exec(['ping', `-${family}`, '-c1', '-W5', peer.address(family)], { netns: 'web' });
}

const LAB = { device: 'veth', forward: 'redirect', tracer: false } as const;

describe.for(POINTS)('from $device', (point) => {
	const sample = point.device === 'netkit-l3' ? turn(0, ...point.needs) : { tags: [FULL] };
	test('3,000 frames: nobody else gets any, and each is accounted for', sample, async ({ lab, requires }) => {
		await requires('veth', ...point.needs);
		const made = await lab(LAB);
		await fromContainer(made, point, SEED);
		await stillWorks(made);
	});
});

describe.for(FURTHER_POINTS)('from $device, forward $forward', { tags: [FULL] }, (point) => {
	test('3,000 frames: nobody else gets any, and each is accounted for', async ({ lab, requires }) => {
		await requires('veth', ...point.needs);
		const made = await lab(LAB);
		await fromContainer(made, point, SEED);
		await stillWorks(made);
	});
});

describe.for([...POINTS, ...FURTHER_POINTS])('from $device ($forward), further seeds', { tags: [FULL] }, (point) => {
	test.for(FURTHER_SEEDS)('seed %i', async (seed, { lab, requires }) => {
		await requires('veth', ...point.needs);
		await fromContainer(await lab(LAB), point, seed);
	});
});

describe.for(POINTS)('from the wire, into an uplink that has $device', (point) => {
	const sample = point.device === 'veth' ? turn(0) : { tags: [FULL] };
	test('3,000 frames: each is accounted for, and none goes on', sample, async ({ lab, requires }) => {
		await requires('veth', ...point.needs);
		const made = await lab(LAB);
		const guest = made.vm.use<typeof import('../support/guest/storm.ts')>(GUEST);
		await guest.addSender(LATE, point.device, point.forward);
		for (const weathered of await stormFrom(made, PEER, FROM_WIRE, SEED))
			expect(count(weathered, 'left', 'left foreign')).toBe(0);
		await stillWorks(made);
	});
});
