import { describe, expect, type Lab, type Node, path, test } from 'pathproof';
import type { ContainerRequest } from '../../impl/container.ts';
import { WIRES } from '../../kernels/wire.ts';
import { captured } from '../support/capture.ts';
import { FULL } from '../support/config.ts';
import { Node as LabEnd } from '../support/nodes.ts';
import { FAMILIES, OTHERS, type Row, run, SAMPLE } from './rows.ts';

const [{ host: HOST_MAC, peer: PEER_MAC }] = WIRES;

/** On both ends, 100: the container's uplink; 200: another VLAN of the host's, which has no containers. */
function vlans(end: 'host' | 'peer'): string[] {
	const [own, other, mac] = end === 'host' ? [1, 2, PEER_MAC] : [2, 1, HOST_MAC];
	return [100, 200].flatMap((id) => [
		`ip link add link eth0 name eth0.${id} type vlan id ${id}`,
		`ip link set dev eth0.${id} addrgenmode none up`,
		`ip addr add 2001:db8:0:${id}::${own}/64 dev eth0.${id} nodad`,
		`ip addr add 10.0.${id}.${own}/24 dev eth0.${id}`,
		`ip neigh add 2001:db8:0:${id}::${other} lladdr ${mac} dev eth0.${id} nud permanent`,
		`ip neigh add 10.0.${id}.${other} lladdr ${mac} dev eth0.${id} nud permanent`,
	]);
}

/** As `pathproof net add api --uplink eth0.100,2001:db8:0:100::2,10.0.100.2 …` */
function tagged(row: Row): ContainerRequest {
	return {
		name: 'api',
		device: row.device,
		forward: row.forward,
		uplinks: [{ device: 'eth0.100', ipv6NextHop: '2001:db8:0:100::2', ipv4NextHop: '10.0.100.2' }],
		ipv6: '2001:db8:0:2::20',
		ipv4: '198.51.100.20',
		tenant: 'lab',
	};
}

/** Beside the lab's own container, one whose uplink is VLAN 100 of eth0. */
async function withVlan(lab: Lab, row: Row): Promise<{ container: Node; far: Node }> {
	const { host, peer, vm, state, trace } = lab;
	await run(host, ...vlans('host'));
	await run(
		peer,
		...vlans('peer'),
		'ip route add 2001:db8:0:2::20 via 2001:db8:0:100::1',
		'ip route add 198.51.100.20 via 10.0.100.1',
	);
	const request = tagged(row);
	await vm.use<typeof import('../../impl/net.ts')>('impl/net.ts').addContainer(request);
	return {
		container: new LabEnd({ name: 'api', netns: 'api', ipv6: request.ipv6!, ipv4: request.ipv4! }, vm, trace),
		far: new LabEnd({ ...state.peer, ipv6: '2001:db8:0:100::2', ipv4: '10.0.100.2' }, vm, trace),
	};
}

function onVlan(row: Row): void {
	test('an uplink that is a VLAN: the tag is on the frame outside, and not inside', async ({ lab, requires }) => {
		await requires(...row.needs, 'vlan');
		const made = await lab(row.lab);
		const { container, far } = await withVlan(made, row);
		for (const family of FAMILIES) {
			let inside = '';
			const outside = await captured(made.peer, '-e -i eth0 -Q in', async () => {
				inside = await captured(container, '-e -i eth0', async () => {
					await container.udp(far, 53, { family });
					await far.udp(container, 53, { family });
				});
			});
			expect(outside).toMatch(
				new RegExp(`vlan 100, p 0, ethertype IPv${family} .*, ${container.address(family)}.\\d+ > `),
			);
			expect(inside).toContain(`> ${container.address(family)}.53: `);
			expect(inside).not.toContain('vlan');
		}
	});

	test('what it sends and gets passes the VLAN device, and no stack', async ({ lab, requires }) => {
		await requires(...row.needs, 'vlan');
		const made = await lab(row.lab);
		const { container, far } = await withVlan(made, row);
		for (const family of FAMILIES) {
			expect(await container.udp(far, 53, { family })).toFollowPath(
				path`api:eth0 xmit, …, host:eth0.100 xmit, …, peer udp deliver`,
			);
			const trace = await far.udp(container, 53, { family });
			expect(trace).toTraverse('host:eth0.100 ingress[ingress_peer → redirect]');
			expect(trace).toTakeHops({ forward: 0 });
		}
	});

	test('a frame of another VLAN, or of none, never enters it', async ({ lab, requires }) => {
		await requires(...row.needs, 'vlan');
		const made = await lab(row.lab);
		const { container, far } = await withVlan(made, row);
		const ways = [
			['2001:db8:0:200::1', '10.0.200.1'],
			['2001:db8:0:1::1', '192.0.2.1'],
		];
		for (const [six, four] of ways) {
			await run(
				made.peer,
				`ip route replace ${container.ipv6} via ${six}`,
				`ip route replace ${container.ipv4} via ${four}`,
			);
			for (const family of FAMILIES) {
				const { packets } = await far.udp(container, 53, { family, listen: false });
				expect(packets.map(({ hops }) => hops.filter(({ netns }) => netns === 'api'))).toEqual([[]]);
			}
		}
	});

	test('a tagged frame does not enter a container whose uplink has no tag', async ({ lab, requires }) => {
		await requires(...row.needs, 'vlan');
		const made = await lab(row.lab);
		const { far } = await withVlan(made, row);
		for (const id of [100, 200]) {
			await run(
				made.peer,
				`ip route replace ${made.web.ipv6} via 2001:db8:0:${id}::1`,
				`ip route replace ${made.web.ipv4} via 10.0.${id}.1`,
			);
			for (const family of FAMILIES) {
				const { packets } = await far.udp(made.web, 53, { family, listen: false });
				expect(packets.map(({ hops }) => hops.filter(({ netns }) => netns === 'web'))).toEqual([[]]);
			}
		}
	});
}

function onNone(row: Row): void {
	test('a frame that bears a priority and no VLAN is as one without a tag', async ({ lab, requires }) => {
		await requires(...row.needs, 'vlan');
		const made = await lab(row.lab);
		await run(
			made.peer,
			'ip link add link eth0 name priority type vlan id 0',
			'ip link set dev priority addrgenmode none up',
			`ip neigh add 2001:db8:0:1::1 lladdr ${HOST_MAC} dev priority nud permanent`,
			`ip neigh add 192.0.2.1 lladdr ${HOST_MAC} dev priority nud permanent`,
			`ip route replace ${made.web.ipv6} via 2001:db8:0:1::1 dev priority onlink`,
			`ip route replace ${made.web.ipv4} via 192.0.2.1 dev priority onlink`,
		);
		for (const family of FAMILIES) {
			const trace = await made.peer.udp(made.web, 53, { family });
			expect(trace).toTraverse('host:eth0 ingress[ingress_peer → redirect]');
			expect(trace).toTraverse('web udp deliver');
		}
	});
}

/** The lab's `web` is redirected; `api` is made by these tests. */
const PAST_THE_STACK = OTHERS.filter(({ forward }) => forward !== 'stack');
const ALONE = SAMPLE.map((row) => ({ ...row, lab: { wire: row.wire, device: row.device, forward: row.forward } }));
describe.for(ALONE.slice(0, 1))('VLAN: $title', { tags: [FULL] }, onVlan);
describe.for([...ALONE.slice(1), ...PAST_THE_STACK])('VLAN: $title', { tags: [FULL] }, onVlan);
describe.for([...ALONE, ...PAST_THE_STACK])('VLAN 0: $title', { tags: [FULL] }, onNone);
