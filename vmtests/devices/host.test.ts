/**
 * What `redirect` and `fib` promise of the host: its IP stack never has a container's packet, nothing waits for a softirq that need not,
 * the packet is its sender's up to the uplink, and the host forwards nothing. Said by the tracer, and by the kernel's own counters.
 */
import { describe, expect, type Lab, type Node, test, withoutRepeats } from 'pathproof';
import { FULL } from '../support/config.ts';
import { needsOf, turnOf } from './cells.ts';
import { expectSocketKept } from './owners.ts';
import { backlogs, type Direction, type Row } from './ways.ts';

const ROWS = (['veth', 'netkit-l2', 'netkit-l3'] as const).flatMap((device) =>
	(['redirect', 'fib'] as const).map((forward) => ({ device, forward })),
);
const SAMPLE = ['veth fib', 'netkit-l3 fib'];
const CONTAINERS = { web: {}, api: {} } as const;

/** What a host's stack counts of what it receives and forwards, both families (RFC 4293). */
const COUNTERS = ['Ip6InReceives', 'Ip6OutForwDatagrams', 'IpInReceives', 'IpForwDatagrams'];

async function counted(host: Node): Promise<Record<string, number>> {
	const { stdout } = await host.exec(['nstat', '--json', '--zeros', '--ignore', '--noupdate', ...COUNTERS]);
	const { kernel } = JSON.parse(stdout) as { kernel: Record<string, number> };
	return Object.fromEntries(COUNTERS.map((name) => [name, kernel[name]!]));
}

/** Every direction, both families: a connection each, and what is said of it. */
async function talk({ web, peer, api }: Lab, row: Row): Promise<void> {
	const ways: [Node, Node, Direction, Direction][] = [
		[web, peer, 'out', 'in'],
		[peer, web, 'in', 'out'],
		[web, api, 'between', 'between'],
	];
	for (const [from, to, there, back] of ways)
		for (const family of [6, 4] as const) {
			const trace = await from.curl(to, { family });
			for (const [node, direction] of [
				[from, there],
				[to, back],
			] as const) {
				const packets = withoutRepeats(trace.packets).filter(({ hops }) => hops[0]!.netns === node.netns);
				expect(packets).toTakeHops({ 'host ip6 receive': 0, 'host ip receive': 0, forward: 0 });
				expect(packets).toTakeHops({ backlog: backlogs(row, direction) });
				if (direction === 'out') {
					expect(packets).toTraverse('host:eth0 xmit');
					expectSocketKept(packets);
				}
			}
		}
}

for (const row of ROWS) {
	const name = `${row.device} ${row.forward}`;
	describe(`the host of containers on ${row.device}, ${row.forward}`, {
		...(SAMPLE.includes(name) ? turnOf(row) : { tags: [FULL] }),
	}, () => {
		test('has no packet of theirs in its IP stack, and its counters say the same', async ({ lab, requires }) => {
			await requires(...needsOf(row));
			const here = await lab({ ...row, containers: CONTAINERS });
			const before = await counted(here.host);
			await talk(here, row);
			expect(await counted(here.host)).toEqual(before);
		});

		test('forwards nothing: the switches are off, but for the one that fib needs on its own device', async ({
			lab,
			requires,
		}) => {
			await requires(...needsOf(row));
			const { host } = await lab({ ...row, containers: CONTAINERS });
			const { stdout } = await host.exec(['sysctl', '-ar', 'net.ipv4.ip_forward$|conf.*[.]forwarding$']);
			const on = stdout.split('\n').filter((line) => line.endsWith('= 1'));
			const own = ['ipv4', 'ipv6'].flatMap((family) =>
				['api', 'web'].map((device) => `net.${family}.conf.${device}.forwarding = 1`),
			);
			expect(on.sort()).toEqual(row.forward === 'fib' ? own : []);
			expect(stdout).toMatch(/^net\.ipv4\.ip_forward = 0$/m);
			expect(stdout).toMatch(/^net\.ipv6\.conf\.all\.forwarding = 0$/m);
		});
	});
}

test(
	'the same counters count what a stack forwards',
	turnOf({ device: 'veth', forward: 'stack' }),
	async ({ lab, requires }) => {
		await requires('veth');
		const { web, host, peer } = await lab({ device: 'veth', forward: 'stack' });
		const before = await counted(host);
		await web.udp(peer, 53);
		await web.udp(peer, 53, { family: 4 });
		const after = await counted(host);
		expect(COUNTERS.map((name) => after[name]! - before[name]!)).toEqual([1, 1, 1, 1]);
	},
);
