import { describe, expect, type Lab, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { containerOf, OTHERS, type Row, run, SAMPLE } from './rows.ts';

/** What the host's own stack has heard by the container's device: IPv6 packets, solicitations among them, and who is there. */
async function heard({ host }: Lab, device: string): Promise<{ packets: number; asked: number; known: string }> {
	const counters = await run(host, `cat /proc/net/dev_snmp6/${device}`);
	const count = (name: string) => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(counters)?.[1]);
	const known = await run(host, `ip neigh show dev ${device}`);
	return { packets: count('Ip6InReceives'), asked: count('Icmp6InNeighborSolicits'), known };
}

function asking(row: Row): void {
	test('a container that knows nobody is answered by the program: the host is not asked', async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const container = containerOf(made, row);
		// the host's own stack would answer no ARP
		await run(made.host, `sysctl -qw net.ipv4.conf.${row.who}.arp_ignore=8`);
		await run(
			container,
			'ip neigh del fe80::1 dev eth0',
			// by a gateway that has to be asked for by ARP: its own is fe80::1
			'ip route replace default via 169.254.1.1 dev eth0 onlink',
		);
		const before = await heard(made, row.who);
		await run(container, `ping -c1 -W5 ${made.peer.ipv6}`, `ping -c1 -W5 ${made.peer.ipv4}`);
		const mac = (await run(made.host, `cat /sys/class/net/${row.who}/address`)).trim();
		const known = await run(container, 'ip neigh show dev eth0');
		expect(known).toMatch(new RegExp(`^fe80::1 lladdr ${mac} router`, 'm'));
		expect(known).toMatch(new RegExp(`^169.254.1.1 lladdr ${mac} `, 'm'));
		// the stack receives what it forwards: the echo request
		expect(await heard(made, row.who)).toEqual({
			...before,
			packets: before.packets + (row.forward === 'stack' ? 1 : 0),
		});
	});
}

describe.for(SAMPLE.slice(0, 1))('neighbours: $title', { tags: [FULL] }, asking);
const ETHERNET = OTHERS.filter(({ device }) => device !== 'netkit-l3');
describe.for([...SAMPLE.slice(1), ...ETHERNET])('neighbours: $title', { tags: [FULL] }, asking);
