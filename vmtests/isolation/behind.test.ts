/**
 * What a container's owner does to packets behind the first of the host's hooks on their device: rewrites, multiplies, tags and sends
 * them back. None leaves as somebody else's; without the guard they do.
 */
import { buildProgram, type Device, expect, type Node, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { addressBytes, ETHERTYPE, PROTOCOL } from '../support/frames.ts';
import { Arena, arenaRequest, DEVICES } from './arena.ts';
import { inNested } from './nested.ts';

const CLSACT = 'tc qdisc add dev eth0 clsact';
const onEgress = (what: string) => `${CLSACT} && tc filter add dev eth0 egress ${what}`;
const FORGE = onEgress('protocol ipv6 matchall action pedit ex munge ip6 src set 2001:db8:0:2::11');

interface Way {
	title: string;
	/** what the owner types first */
	prepare: string;
	/** what sends packets that are the container's own until then */
	send(arena: Arena): Promise<unknown>;
	/** whether a frame at the peer is what must not get there; from another's IPv6 address, without */
	isForged?: (frame: Buffer, arena: Arena) => boolean;
	/** on these alone it gets anywhere without the guard */
	on?: readonly Device[];
}

const ping = (from: Node, to: string, ...options: string[]) =>
	from.exec(['ping', '-c2', '-i0.2', '-W1', ...options, to], { reject: false });
const fromItself = ({ lab }: Arena) => ping(lab.web, lab.peer.ipv6);

const forwarded = ({ lab: { web, peer } }: Arena) => inNested(web, web.ipv6, `ping -c2 -i0.2 -W1 ${peer.ipv6}`);

const ETHERNET_TYPE = 12;
const IPV6_SOURCE = 22;
const ARP_SENDER = 28;

const isFromApi = (frame: Buffer, { lab }: Arena) =>
	frame.readUInt16BE(ETHERNET_TYPE) === ETHERTYPE.ipv6 &&
	frame.subarray(IPV6_SOURCE, IPV6_SOURCE + 16).equals(addressBytes(lab.api.ipv6));

const WAYS: readonly Way[] = [
	{ title: 'rewrites with pedit what its sockets send', prepare: FORGE, send: fromItself },
	{ title: 'rewrites with pedit what it forwards', prepare: FORGE, send: forwarded },
	{
		title: 'rewrites with u32 and pedit IPv4 that its sockets send',
		// one more in the address, one less in the type of service: the checksum of the header holds, and a host forwards it
		prepare: onEgress(
			'protocol ip u32 match u32 0 0 action pedit ex munge ip src set 198.51.100.11 munge ip tos set 1',
		),
		send: ({ lab }) => ping(lab.web, lab.peer.ipv4, '-Q', '2'),
		isForged: (frame, { lab }) =>
			frame.readUInt16BE(ETHERNET_TYPE) === ETHERTYPE.ipv4 && frame.subarray(26, 30).equals(addressBytes(lab.api.ipv4)),
	},
	{
		title: 'duplicates with netem what pedit has rewritten',
		prepare: `${FORGE} && tc qdisc add dev eth0 root netem duplicate 100%`,
		send: fromItself,
	},
	{
		title: 'tags what it forwards',
		prepare: onEgress('protocol ipv6 matchall action vlan push id 5'),
		send: forwarded,
		// the tag itself is told beside the frame: no other frame has that source
		isForged: (frame, { lab }) => frame[20] === PROTOCOL.icmpv6 && frame.includes(addressBytes(lab.web.ipv6)),
		on: ['ipvlan-l2'],
	},
	{
		title: 'asks by ARP in the name of its host',
		prepare: `${onEgress('protocol arp matchall action pedit munge offset 14 u16 set 0xc000 munge offset 16 u16 set 0x0201')} && ip neigh flush dev eth0 nud all`,
		send: ({ lab }) => ping(lab.web, lab.peer.ipv4),
		isForged: (frame, { lab }) =>
			frame.readUInt16BE(ETHERNET_TYPE) === ETHERTYPE.arp &&
			frame.subarray(ARP_SENDER, ARP_SENDER + 4).equals(addressBytes(lab.host.ipv4)),
		on: ['ipvlan-l2'],
	},
	{
		title: 'sends back by XDP_TX what comes, as if another had sent it',
		prepare: 'true',
		async send({ lab: { web, peer, vm } }) {
			// BPF cannot be loaded from inside: what a privileged owner would attach is attached for them
			await vm.writeFile('/run/reflector.o', await buildProgram('fixtures/reflector.bpf.c'));
			await web.exec(['ip', 'link', 'set', 'dev', 'eth0', 'xdpgeneric', 'obj', '/run/reflector.o', 'sec', 'xdp']);
			await ping(peer, web.ipv6);
			await web.exec(['ip', 'link', 'set', 'dev', 'eth0', 'xdpgeneric', 'off']);
		},
		// ipvlan-l3s hands over what comes inside the host's IP stack: no XDP of the slave's sees it
		on: ['veth', 'netkit-l2', 'netkit-l3', 'ipvlan-l2', 'ipvlan-l3'],
	},
];

const UNDO = 'tc qdisc del dev eth0 clsact; tc qdisc del dev eth0 root; true';

/** Where it is dropped behind the first hook. */
function lastWord(device: Device): 'host:eth0' | 'host:web' {
	return device.startsWith('ipvlan') ? 'host:eth0' : 'host:web';
}

/** How many forged frames the peer got. */
async function tryOut(arena: Arena, way: Way): Promise<number> {
	const { web, host, peer } = arena.lab;
	// neighbours are known before anything is rewritten; the host's own are looked for again, while the packet waits
	await ping(web, peer.ipv6);
	await arena.heardAtPeer();
	await web.tenant(['sh', '-c', way.prepare]);
	// for somebody else's packet an IPv6 host asks from its link-local address, which no host of a lab has
	await host.exec(['ip', 'addr', 'replace', 'fe80::1/64', 'dev', 'eth0', 'nodad']);
	await host.exec(['ip', 'neigh', 'flush', 'dev', 'eth0', 'nud', 'all']);
	await way.send(arena);
	await web.tenant(['sh', '-c', UNDO]);
	return (await arena.heardAtPeer()).filter((frame) => (way.isForged ?? isFromApi)(frame, arena)).length;
}

/** What the default run tries: it has no socket by which its sender could be known. */
const SAMPLE = WAYS.filter(({ send }) => send === forwarded).slice(0, 1);

for (const { device, forward, needs, tags } of DEVICES) {
	const guarded = (ways: readonly Way[], title: string, options: { tags?: string[] }) =>
		test(title, { ...options, timeout: 600_000 }, async ({ lab, requires }) => {
			await requires(...needs);
			const arena = await Arena.open(await lab(arenaRequest(device, forward, true)));
			for (const way of ways) {
				if (way.on && !way.on.includes(device)) continue;
				const at = `${lastWord(device)} SPOOFED_SOURCE` as const;
				const before = await arena.dropsAt(at);
				expect.soft(await tryOut(arena, way), way.title).toBe(0);
				expect.soft((await arena.dropsAt(at)) - before, `${way.title}: ${at}`).toBeGreaterThan(0);
			}
		});

	if (!tags.includes(FULL))
		guarded(SAMPLE, `behind the first hook of ${device}, one way to make another's packets`, {});
	guarded(WAYS, `behind the first hook of ${device} a container's owner makes nobody else's packets`, { tags: [FULL] });

	test(`behind the first hook of ${device} they would, without the guard`, { tags: [FULL], timeout: 600_000 }, async ({
		lab,
		requires,
	}) => {
		await requires(...needs);
		const open = await Arena.open(await lab(arenaRequest(device, forward === 'native' ? 'native' : 'stack', false)));
		for (const way of WAYS) {
			if (way.on && !way.on.includes(device)) continue;
			expect.soft(await tryOut(open, way), `without the guard: ${way.title}`).toBeGreaterThan(0);
		}
	});
}
