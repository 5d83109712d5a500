/**
 * Mistakes in a datapath that a ping does not find, or finds without a word of where. Each is the datapath's own source with a line
 * changed, or its set-up with a step left out; each is caught by its path, and the first difference is named.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildProgram, describe, expect, type Lab, path, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { turn } from '../support/turns.ts';

const SOURCE = join(import.meta.dirname, '../../bpf/redirect.bpf.c');
const OBJECT = '/pathproof/payload/bpf/redirect.bpf.o';
const GUEST_LAB = 'vmtests/support/guest/lab.ts';

/** The container of this lab on the mutated datapath. */
async function mutate({ vm, state }: Lab, line: string, changed: string): Promise<void> {
	const source = await readFile(SOURCE, 'utf8');
	expect(source.split(line)).toHaveLength(2);
	const dir = await mkdtemp(join(tmpdir(), 'pathproof-mutation-'));
	try {
		const mutant = join(dir, 'redirect.bpf.c');
		await writeFile(mutant, source.replace(line, changed).replace('"include/neighbour.h"', '"neighbour.h"'));
		await vm.writeFile(OBJECT, await buildProgram(mutant));
	} finally {
		await rm(dir, { recursive: true });
	}
	await vm.use<typeof import('../support/guest/lab.ts')>(GUEST_LAB).rewireContainer(state.options);
}

const CROSSING = {
	veth: 'host backlog, host:web receive, host:web ingress[egress_neigh → redirect]',
	netkit: 'host:web ingress[egress_neigh → redirect]',
} as const;

/** The line before the last of ingress_peer: redirect_peer stands in another function too. */
const LAST_REFUSAL = 'return drop(skb->ifindex, SPOOFED_NEIGHBOUR);\n\t';

const forwarding = ({ host }: Lab) => host.exec(['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);

interface Mutation {
	title: string;
	way: 'out' | 'in';
	/** the devices on which a ping is answered all the same */
	pings: readonly string[];
	make(lab: Lab): Promise<unknown>;
	/** the marked line of the failure: expected (empty where nothing was), taken */
	difference: readonly [string, string];
	onNetkit?: readonly [string, string];
}

const MUTATIONS: readonly Mutation[] = [
	{
		title: 'bpf_redirect in place of bpf_redirect_neigh: the frame keeps the MAC address of the host',
		way: 'out',
		pings: [],
		make: (lab) =>
			mutate(lab, 'return bpf_redirect_neigh(ifindex, &nh, sizeof(nh), 0);', 'return bpf_redirect(ifindex, 0);'),
		// before 5.17 a drop has only the function's name
		difference: ['peer udp deliver', expect.stringMatching(/^drop (?:OTHERHOST|ip6_rcv_core)$/)],
	},
	{
		title: 'the program is not attached, and the host does not forward',
		way: 'out',
		pings: [],
		make: ({ detach }) => detach('egress_neigh'),
		difference: ['host:web ingress[egress_neigh → redirect]', 'host ip6 receive'],
		// which without a program waits like any device
		onNetkit: ['host:web ingress[egress_neigh → redirect]', 'host backlog'],
	},
	{
		title: 'bpf_redirect in place of bpf_redirect_peer: the packet leaves by the host end and waits in a backlog',
		way: 'in',
		// the frame has the MAC address of the host's eth0
		pings: [],
		make: (lab) => mutate(lab, `${LAST_REFUSAL}return bpf_redirect_peer(`, `${LAST_REFUSAL}return bpf_redirect(`),
		difference: ['', 'host:web xmit'],
	},
	{
		title: 'the program passes what it should redirect, and forwarding was left on: the IP stack does its work',
		way: 'out',
		pings: ['veth', 'netkit'],
		async make(lab) {
			await mutate(lab, 'redirect_to_neighbour(container->uplinks[0], route.family, hop)', 'VERDICT_PASS');
			await forwarding(lab);
		},
		difference: ['host:web ingress[egress_neigh → redirect]', 'host:web ingress[egress_neigh → pass]'],
	},
	{
		title: 'the next hop is on another device: lo',
		way: 'out',
		pings: [],
		make: (lab) => mutate(lab, 'redirect_to_neighbour(container->uplinks[0],', 'redirect_to_neighbour(1,'),
		difference: ['host:eth0 xmit', 'host:lo xmit'],
	},
];

const IN = 'peer:eth0 xmit, host:eth0 receive, host:eth0 ingress[ingress_peer → redirect], web:eth0 receive';

for (const device of ['veth', 'netkit'] as const) {
	describe(`a container on ${device}`, () => {
		// in a loop: vitest cuts a $title after forty characters
		for (const [index, { title, way, pings, make, difference, onNetkit }] of MUTATIONS.entries())
			test(title, device === 'veth' ? turn(index) : { tags: [FULL] }, async ({ lab, requires }) => {
				await requires(device);
				const mutant = await lab({ device, forward: 'redirect' });
				const { web, peer } = mutant;
				await make(mutant);
				const ping = await web.exec(['ping', '-6', '-c', '1', '-W', '1', peer.ipv6], { reject: false });
				expect(ping.code === 0).toBe(pings.includes(device));

				const [from, to] = way === 'out' ? [web, peer] : [peer, web];
				const trace = await from.udp(to, 53, { listen: false });
				const expected =
					way === 'out'
						? path`web:eth0 xmit, ${CROSSING[device]}, host:eth0 xmit, peer:eth0 receive, peer udp deliver`
						: path`${IN}, web udp deliver`;
				const failure = catchFailure(() => expect(trace[way]).toFollowPath(expected));
				expect(markedLine(failure)).toEqual(device === 'netkit' && onNetkit ? onNetkit : difference);
			});
	});
}

function catchFailure(assertion: () => void): string {
	try {
		assertion();
	} catch (error) {
		return String(error);
	}
	throw new Error('the mutation was not caught');
}

/** The line that a failure marks as the first difference: expected, taken. */
function markedLine(failure: string): string[] {
	const [, expected, taken] = /^ *≠ (.*?) +│ (.*)$/m.exec(failure) ?? [];
	return [expected ?? failure, (taken ?? '').replace(/\[(?:netkit|tcx|clsact) /, '[')];
}
