import { buildProgram, expect, test, type Vm } from 'pathproof';
import { turn } from '../support/turns.ts';

const OBJECT = '/run/witness.bpf.o';

async function carryWitness({ vm }: { vm: Vm }): Promise<void> {
	await vm.writeFile(OBJECT, await buildProgram('fixtures/witness.bpf.c'));
}

test('an XDP program that ip loads is traced by its full name, before all that tc runs', turn(0), async ({ lab }) => {
	const { vm, web, peer } = await lab({ setup: carryWitness });
	await vm.exec(['ip', 'link', 'set', 'dev', 'eth0', 'xdpgeneric', 'obj', OBJECT, 'sec', 'xdp']);
	expect(await peer.udp(web, 53)).toTraverse('host:eth0 ingress[xdp witness_at_the_driver → pass]');
});

test('a filter that tc loads is traced on the way out', turn(1, 'clsact'), async ({ lab, requires }) => {
	await requires('clsact');
	const { vm, web, peer } = await lab({ setup: carryWitness });
	await vm.exec(['tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact']);
	await vm.exec(['tc', 'filter', 'add', 'dev', 'eth0', 'egress', 'bpf', 'da', 'obj', OBJECT, 'sec', 'tc']);
	expect(await web.udp(peer, 53)).toTraverse('host:eth0 egress[clsact witness_at_the_qdisc → next]');
});

test('a packet that loops back in the host is on its way there alone', turn(2), async ({ lab }) => {
	const { host } = await lab();
	const trace = await host.ping(host);
	expect(trace.packets.map(({ hops }) => hops.map(({ hop }) => hop).join(', '))).toEqual([
		'host:lo xmit, host backlog, host:lo receive, host ip6 receive, host icmp deliver',
		'host:lo xmit, host backlog, host:lo receive, host ip6 receive, host icmp deliver',
	]);
});
