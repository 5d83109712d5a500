/**
 * What a program in a container, its peer and its host can tell of the device and the way of forwarding. All else is the same on every
 * one of them: matrix.test.ts. A row of the table is a test.
 */
import { expect, type Lab, type Node, test } from 'pathproof';
import { featureClaim } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import { needsOf, ROWS, turnOf } from './cells.ts';

interface Told {
	/** hop limit and TTL with which the peer receives what was sent with 64 */
	hopsLeft: readonly [number, number];
	/** who answers a packet with a hop limit of 1: the peer, or the host that it does not pass */
	lastHop: 'peer' | 'host';
	/** whose MAC address the peer sees */
	macAtPeer: 'uplink';
	/** bytes of a packet that the container's device takes */
	mtu: number;
	/** whether a ping of the host's reaches the container, and one of the container's the host */
	fromHost: boolean;
	toHost: boolean;
	/** who is in the container's neighbour table */
	neighbours: readonly string[];
	/** the hooks of the host's netfilter that see a packet to the peer, and one from it */
	rulesOut: readonly string[];
	rulesIn: readonly string[];
}

const PAIR = {
	lastHop: 'peer',
	hopsLeft: [64, 64],
	macAtPeer: 'uplink',
	mtu: 1500,
	fromHost: true,
	toHost: true,
} as const;
const PAST = { ...PAIR, rulesOut: [], rulesIn: [] } as const;
const THROUGH = {
	...PAIR,
	hopsLeft: [63, 63],
	lastHop: 'host',
	rulesOut: ['prerouting', 'forward', 'postrouting'],
	rulesIn: ['prerouting', 'forward', 'postrouting'],
} as const;
/** The host has no route to a slave's address: its neighbours are beyond the uplink. */
const SLAVE = { ...PAIR, fromHost: false, toHost: false } as const;
const OUTPUT = ['output', 'postrouting'];

const GATEWAY = ['fe80::1'];
const NEXT_HOPS = ['192.0.2.2', '2001:db8:0:1::2'];

/** By device and way of forwarding. */
const TABLE: Record<string, Told> = {
	'none native': {
		...PAIR,
		neighbours: NEXT_HOPS,
		rulesOut: OUTPUT,
		rulesIn: ['prerouting', 'input'],
	},
	'veth stack': { ...THROUGH, neighbours: GATEWAY },
	'netkit-l2 stack': { ...THROUGH, neighbours: GATEWAY },
	'netkit-l3 stack': { ...THROUGH, neighbours: [] },
	'veth redirect': { ...PAST, neighbours: GATEWAY },
	'veth fib': { ...PAST, neighbours: GATEWAY },
	'veth redirect-egress': { ...PAST, neighbours: GATEWAY },
	'netkit-l2 redirect': { ...PAST, neighbours: GATEWAY },
	'netkit-l2 fib': { ...PAST, neighbours: GATEWAY },
	'netkit-l2 redirect-egress': { ...PAST, neighbours: GATEWAY },
	'netkit-l3 redirect': { ...PAST, neighbours: [] },
	'netkit-l3 fib': { ...PAST, neighbours: [] },
	'netkit-l3 redirect-egress': { ...PAST, neighbours: [] },
	'ipvlan-l2 native': { ...SLAVE, neighbours: NEXT_HOPS, rulesOut: [], rulesIn: [] },
	'ipvlan-l3 native': { ...SLAVE, neighbours: [], rulesOut: OUTPUT, rulesIn: [] },
	'ipvlan-l3s native': { ...SLAVE, neighbours: [], rulesOut: OUTPUT, rulesIn: ['prerouting', 'input'] },
};
const SAMPLE = ['veth stack', 'netkit-l3 redirect', 'ipvlan-l3 native'];

for (const row of ROWS) {
	const name = `${row.device} ${row.forward}`;
	test(`${name} is told by what the table says, and by nothing else`, {
		...(SAMPLE.includes(name) ? turnOf(row) : { tags: [FULL] }),
	}, async ({ lab, requires, kernel }) => {
		await requires(...needsOf(row), 'nftables');
		const guarded = !row.device.startsWith('ipvlan-') || featureClaim(kernel, 'tcx').claim === 'has';
		const here = await lab({ ...row, ...(!guarded && { guard: false }) });
		expect(await tell(here)).toEqual(TABLE[name]);
	});
}

async function tell(lab: Lab): Promise<Told> {
	const { web, host, peer } = lab;
	const mtu = await web.exec(['cat', '/sys/class/net/eth0/mtu']);
	return {
		hopsLeft: [await hopsLeft(lab, 6), await hopsLeft(lab, 4)],
		lastHop: await lastHop(lab),
		macAtPeer: await macAtPeer(lab),
		mtu: Number(mtu.stdout),
		fromHost: await pings(host, web),
		toHost: await pings(web, host),
		neighbours: await neighbours(web),
		...(await rules(host, async () => ({
			rulesOut: hooks(await web.udp(peer, 53)),
			rulesIn: hooks(await peer.udp(web, 53)),
		}))),
	};
}

/** In the header that the peer receives: RFC 8200, 3; RFC 791, 3.1. */
async function hopsLeft({ web, peer }: Lab, family: 4 | 6): Promise<number> {
	const [packet] = (await web.udp(peer, 53, { family })).out;
	return packet!.events.findLast(({ netns }) => netns === 'peer')!.bytes[family === 6 ? 7 : 8]!;
}

async function lastHop({ web, peer }: Lab): Promise<'peer' | 'host'> {
	const answers = await Promise.all(
		([6, 4] as const).map((family) =>
			web.exec(['ping', `-${family}`, '-c', '1', '-W', '5', '-t', '1', peer.address(family)], { reject: false }),
		),
	);
	const [six, four] = answers.map(({ stdout }) =>
		/Time exceeded|Time to live exceeded/i.test(stdout) ? 'host' : 'peer',
	);
	expect(four).toBe(six);
	expect(answers.map(({ code }) => code)).toEqual(six === 'peer' ? [0, 0] : [1, 1]);
	return six!;
}

async function macAtPeer({ web, host, peer }: Lab): Promise<'uplink'> {
	const uplink = await host.exec(['cat', '/sys/class/net/eth0/address']);
	await using capture = await peer.spawn(['tcpdump', '-enli', 'eth0', '-c', '1', 'udp port 53']);
	await capture.waitFor(/listening on/);
	await web.udp(peer, 53);
	expect((await capture.ended).stdout).toMatch(new RegExp(`^\\S+ ${uplink.stdout.trim()} > `));
	return 'uplink';
}

async function pings(from: Node, to: Node): Promise<boolean> {
	const codes = await Promise.all(
		([6, 4] as const).map(
			async (family) =>
				(await from.exec(['ping', `-${family}`, '-c', '1', '-W', '2', to.address(family)], { reject: false })).code,
		),
	);
	expect(new Set(codes).size).toBe(1);
	return codes[0] === 0;
}

async function neighbours(node: Node): Promise<string[]> {
	const { stdout } = await node.exec(['ip', '-json', 'neigh', 'show', 'dev', 'eth0']);
	return (JSON.parse(stdout) as { dst: string; state: string[] }[])
		.filter(({ state }) => !state.includes('FAILED') && !state.includes('NOARP'))
		.map(({ dst }) => dst)
		.sort();
}

const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'];

/** With a chain at each hook, so that each is entered. */
async function rules<T>(host: Node, act: () => Promise<T>): Promise<T> {
	const chains = HOOKS.map((hook) => `add chain inet t ${hook} { type filter hook ${hook} priority 0; }`);
	await host.exec(['nft', ['add table inet t', ...chains].join('; ')]);
	return await act();
}

function hooks(trace: Awaited<ReturnType<Node['udp']>>): string[] {
	const [sent] = trace.packets;
	return sent!.hops.flatMap(({ hop }) =>
		hop.startsWith('host netfilter ') ? [hop.slice('host netfilter '.length)] : [],
	);
}
