/** What was dropped is counted where it was, under a name that no owner of a netns can choose. */
import { describe, expect, test } from 'pathproof';
import { request, type Scene, scene } from '../state/scene.ts';
import { FULL } from '../support/config.ts';

/** From an address that is nobody's: asked for by ARP in ipvlan's layer 2. */
const SPOOF = ['ping', '-c1', '-W1', '-I', '198.51.100.66', '192.0.2.2'];

const WEB = request('web', { device: 'ipvlan-l2', forward: 'native' });

/** Moves the slave into a netns of its owner's own, where it gets the index that is the next free one there: `index`. */
async function moveToIndex({ vm }: Scene, index: number): Promise<void> {
	const inside = `ip netns add inside
own=$(ip netns exec web cat /sys/class/net/eth0/ifindex)
for i in $(seq 2 ${index - 1}); do ip -n inside link add type dummy; done
ip -n inside link show | grep -q "^$own:" || ip -n inside link add index $own type dummy
ip -n web link set dev eth0 netns inside
ip -n inside link set dev eth0 up
ip -n inside addr add 198.51.100.66/24 dev eth0
ip -n inside route add 192.0.2.2 dev eth0`;
	await vm.exec(['sh', '-ec', inside]);
}

describe('the drops of an ipvlan container', () => {
	test('stay its own, whichever index its device has in a netns of its owner', { tags: [FULL] }, async ({
		lab,
		requires,
	}) => {
		await requires('ipvlan', 'tcx', 'dummy');
		const on = await scene(lab);
		const { net, vm } = on;
		await net.addContainer(WEB);
		await net.addContainer(request('api', { device: 'veth', forward: 'redirect' }));
		await moveToIndex(on, (await net.showContainer('api')).host!.ifindex);
		const index = Number(
			(await vm.exec(['ip', 'netns', 'exec', 'inside', 'cat', '/sys/class/net/eth0/ifindex'])).stdout,
		);
		expect(index).toBe((await net.showContainer('api')).host!.ifindex);
		await vm.exec(SPOOF, { netns: 'inside', reject: false });
		expect((await net.showContainer('api')).drops).not.toHaveProperty('SPOOFED_SOURCE');
		expect((await net.showContainer('web')).drops).toMatchObject({ SPOOFED_SOURCE: expect.any(Number) });
	});

	test('are forgotten with it: the next slave has its number', { tags: [FULL] }, async ({ lab, requires }) => {
		await requires('ipvlan', 'tcx');
		const { net, vm, lab: made } = await scene(lab);
		await net.addContainer(WEB);
		// that there is one container always: with the last one all is forgotten
		await net.addContainer(request('api', { device: 'ipvlan-l2', forward: 'native' }));
		await vm.exec(['ip', 'addr', 'add', '198.51.100.66/24', 'dev', 'eth0'], { netns: 'web' });
		await vm.exec(SPOOF, { netns: 'web', reject: false });
		expect((await net.showContainer('web')).drops).toMatchObject({ SPOOFED_SOURCE: expect.any(Number) });
		const places = async () =>
			new Set((await made.drops()).map(({ at }) => at).filter((at) => !at.startsWith('host:')));
		expect(await places()).toContain('web:eth0');
		await net.removeContainer('web');
		expect([...(await places())].filter((at) => at !== 'api:eth0')).toEqual([]);
	});
});
