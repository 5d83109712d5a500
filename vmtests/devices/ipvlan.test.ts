/** A slave of the uplink: no device of the host is between. */
import { expect, test } from 'pathproof';
import { featureClaim } from '../../kernels/features.ts';
import { FULL } from '../support/config.ts';
import { turnOf } from './cells.ts';
import { testMatrix } from './matrix.ts';

const DEVICES = ['ipvlan-l2', 'ipvlan-l3', 'ipvlan-l3s'] as const;

testMatrix(DEVICES);

// the cells that the matrix has not: two slaves of one uplink are not each other's neighbours
for (const device of DEVICES)
	test(`what a container on ${device} sends to the other of its host never comes there`, {
		...(device === 'ipvlan-l3' ? turnOf({ device, forward: 'native' }) : { tags: [FULL] }),
	}, async ({ lab, requires, kernel }) => {
		await requires('ipvlan');
		const guarded = featureClaim(kernel, 'tcx').claim === 'has';
		const here = await lab({ device, containers: { web: {}, api: {} }, ...(!guarded && { guard: false }) });
		for (const family of [6, 4] as const) {
			const target = here.api.address(family);
			const trace = await here.trace({ protocol: 'icmp', family }, () =>
				here.web.exec(['ping', `-${family}`, '-c', '1', '-W', '1', target], { reject: false }),
			);
			const sent = trace.packets.filter(({ packet }) => packet.destination === target);
			expect(sent.map(({ fate }) => fate)).not.toContain('delivered');
			expect(sent).toTraverse('web:eth0 xmit');
			expect(trace.packets.flatMap(({ hops }) => hops.filter(({ netns }) => netns === 'api'))).toEqual([]);
		}
	});
