import { describe, expect, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { containerOf, FAMILIES, OTHERS, type Row, run, SAMPLE } from './rows.ts';

const UNREACHABLE = { 6: 'destination unreachable code 4', 4: 'destination unreachable code 3' } as const;

function errors(row: Row): void {
	test('a closed port of the peer is told to the socket that knocked', async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const sender = containerOf(made, row);
		for (const family of FAMILIES) {
			const knock = `echo | socat -t1 - UDP${family}:${made.peer.literal(family)}:9 2>&1 || true`;
			let said = '';
			const trace = await made.trace({ protocol: 'icmp', family }, async () => {
				said = await run(sender, knock);
			});
			expect(trace.in.map(({ packet }) => packet.detail)).toEqual([UNREACHABLE[family]]);
			expect(trace.in).toFollowPath(path`…, host:eth0 receive, …, ${row.who}:eth0 receive, …, ${row.who} icmp deliver`);
			expect(said).toMatch(/Connection refused/);
		}
	});

	test('a closed port of the container is told to the peer', { tags: [FULL] }, async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const receiver = containerOf(made, row);
		for (const family of FAMILIES) {
			const said = await run(made.peer, `echo | socat -t1 - UDP${family}:${receiver.literal(family)}:9 2>&1 || true`);
			expect(said).toMatch(/Connection refused/);
		}
	});

	// The stack is a router, and counts. Past the stack the host is no station on the way.
	const [station, address] =
		row.forward === 'stack'
			? (['host', { 6: '2001:db8:0:1::1', 4: '192.0.2.1' }] as const)
			: (['peer', { 6: '2001:db8:0:1::2', 4: '192.0.2.2' }] as const);
	test(`the first station that counts a hop is the ${station}`, async ({ lab, requires }) => {
		await requires(...row.needs);
		const made = await lab(row.lab);
		const sender = containerOf(made, row);
		await run(made.peer, 'sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1');
		for (const [family, beyond] of [
			[6, '2001:db8:0:e::2'],
			[4, '198.18.1.2'],
		] as const) {
			// anywhere: it is not to get there
			await run(made.peer, `ip -${family} route add ${beyond} via ${made.host.address(family)}`);
			const said = await run(sender, `ping -${family} -c1 -W2 -t1 ${beyond} || true`);
			expect(said).toMatch(
				new RegExp(`From ${address[family]} icmp_seq=1 Time (exceeded: Hop limit|to live exceeded)`),
			);
		}
	});
}

describe.for(SAMPLE.slice(0, 1))('ICMP errors: $title', { tags: [FULL] }, errors);
describe.for([...SAMPLE.slice(1), ...OTHERS])('ICMP errors: $title', { tags: [FULL] }, errors);
