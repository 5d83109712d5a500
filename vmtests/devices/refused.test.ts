/** What a kernel cannot do is refused when it is asked for, by name, and not found out by packets that go missing. */
import { expect, path, test } from 'pathproof';
import { featureClaim } from '../../kernels/features.ts';

test('redirect-egress is refused where the kernel knows no BPF_F_EGRESS, and made where it does', async ({
	lab,
	requires,
	kernel,
}) => {
	await requires('veth');
	const asked = lab({ device: 'veth', forward: 'redirect-egress', containers: { web: {}, api: {} } });
	if (featureClaim(kernel, 'redirect-peer-egress').claim === 'lacks')
		await expect(asked).rejects.toThrow(/this kernel lacks redirect-peer-egress[\s\S]*--forward redirect/);
	else expect((await asked).state.options.forward).toBe('redirect-egress');
});

test('an ipvlan container that cannot be guarded is refused, and made when asked without', async ({
	lab,
	requires,
	kernel,
}) => {
	await requires('ipvlan');
	const asked = lab({ device: 'ipvlan-l3' });
	if (featureClaim(kernel, 'tcx').claim === 'has') {
		const { web, peer } = await asked;
		expect(await web.udp(peer, 53)).toTraverse('web:eth0 egress[tcx slave_guard → next]');
		return;
	}
	await expect(asked).rejects.toThrow(/an ipvlan container cannot be guarded on this kernel, which has no TCX links/);
	const { web, peer } = await lab({ device: 'ipvlan-l3', guard: false });
	expect(await web.udp(peer, 53)).toFollowPath(
		path`web:eth0 xmit, host:eth0 xmit, peer:eth0 receive, peer udp deliver`,
	);
});
