import { describe, expect, type Lab, type Node, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { Node as LabEnd } from '../support/nodes.ts';
import { turn } from '../support/turns.ts';
import { containerOf, FAMILIES, OTHERS, type Row, run, SAMPLE, stream } from './rows.ts';

/** Beyond the peer, which is a router then, a link that carries less. */
const NARROW = 1280;

/** Answers the node at the far end of the narrow link. */
async function narrowBeyond({ peer, state, vm, trace }: Lab): Promise<Node> {
	await run(
		peer,
		'ip netns add far',
		`ip link add narrow mtu ${NARROW} address 02:00:5e:00:53:11 type veth peer name eth0 address 02:00:5e:00:53:12 netns far`,
		'ip link set dev narrow addrgenmode none up',
		'ip addr add 2001:db8:0:e::1/64 dev narrow nodad',
		'ip addr add 198.18.1.1/24 dev narrow',
		'sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1',
		'ip neigh add 2001:db8:0:e::2 lladdr 02:00:5e:00:53:12 dev narrow nud permanent',
		'ip neigh add 198.18.1.2 lladdr 02:00:5e:00:53:12 dev narrow nud permanent',
		'ip -n far link set dev lo up',
		'ip -n far link set dev eth0 addrgenmode none up',
		'ip -n far addr add 2001:db8:0:e::2/64 dev eth0 nodad',
		'ip -n far addr add 198.18.1.2/24 dev eth0',
		'ip -n far neigh add 2001:db8:0:e::1 lladdr 02:00:5e:00:53:11 dev eth0 nud permanent',
		'ip -n far neigh add 198.18.1.1 lladdr 02:00:5e:00:53:11 dev eth0 nud permanent',
		'ip -n far route add default via 2001:db8:0:e::1',
		'ip -n far route add default via 198.18.1.1',
	);
	return new LabEnd({ ...state.peer, netns: 'far', ipv6: '2001:db8:0:e::2', ipv4: '198.18.1.2' }, vm, trace);
}

const TOO_BIG = { 6: 'packet too big code 0', 4: 'destination unreachable code 4' } as const;

/** MTU of the way to there, as the node's own stack knows it; that of its device without. */
async function knownMtu(from: Node, to: Node, family: 4 | 6): Promise<number> {
	const route = await run(from, `ip -${family} route get ${to.address(family)}`);
	const device = await run(from, 'cat /sys/class/net/eth0/mtu');
	return Number(/ mtu (\d+)/.exec(route)?.[1] ?? device);
}

function told(row: Row): void {
	test(
		'a router beyond the peer tells the container what its link carries',
		turn(0, ...row.needs),
		async ({ lab, requires }) => {
			await requires(...row.needs);
			const made = await lab(row.lab);
			const sender = containerOf(made, row);
			const far = await narrowBeyond(made);
			for (const family of FAMILIES) {
				expect(await knownMtu(sender, far, family)).toBe(1500);
				// the kernel asks whose it was: the socket stays until the answer is there
				const datagram = `(head -c 1400 /dev/zero; sleep 1) | socat -u -b 1400 - UDP${family}-SENDTO:${far.literal(family)}:53`;
				const trace = await made.trace({ protocol: 'icmp', family }, () => run(sender, datagram));
				const arrived = trace.in.filter(({ delivered }) => delivered);
				expect(arrived.length).toBe(1);
				expect(arrived).toTraverse(`${row.who} icmp deliver`);
				if (row.forward !== 'stack') expect(arrived).toTraverse('host:eth0 ingress[ingress_peer → redirect]');
				// how the tracer names it depends on whether it can follow it over the wire
				if (row.wire === 'veth') expect(trace.in.map(({ packet }) => packet.detail)).toEqual([TOO_BIG[family]]);
				expect(await knownMtu(sender, far, family)).toBe(NARROW);
			}
		},
	);

	test(
		'what the container sends then is smaller: datagrams in fragments, TCP in segments',
		turn(1, ...row.needs),
		async ({ lab, requires }) => {
			await requires(...row.needs);
			const made = await lab(row.lab);
			const sender = containerOf(made, row);
			const far = await narrowBeyond(made);
			for (const family of FAMILIES) {
				// learns of it from its first whole segments, and sends them anew
				expect(await stream(sender, far, 50_000, { family })).toBe(50_000);
				expect(await knownMtu(sender, far, family)).toBe(NARROW);
				const trace = await sender.udp(far, 53, { family, size: 1_400 });
				expect(trace.out.map(({ packet }) => packet.detail)).toContain(`fragment at ${family === 6 ? 1232 : 1256}`);
			}
		},
	);
}

describe.for(SAMPLE.slice(0, 1))('path MTU: $title', told);
describe.for([...SAMPLE.slice(1), ...OTHERS])('path MTU: $title', { tags: [FULL] }, told);
