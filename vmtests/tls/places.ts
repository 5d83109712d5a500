/** Where web's programs are: in an identity, or in a netns over each device of which flows are turned. */
import type { FeatureName } from '../../kernels/features.ts';
import { ADDRESSES, HOST } from '../identity/scene.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import type { Joined } from './scene.ts';

export interface TlsPlace {
	what: string;
	device: Joined;
	/** the address of the forward proxy */
	proxy: string;
	needs: FeatureName[];
}

export const PLACES: TlsPlace[] = [
	{ what: 'an identity', device: null, proxy: HOST.ipv6, needs: ['modules'] },
	...(['veth', 'netkit-l2', 'netkit-l3'] as const).map((device) => ({
		what: `a netns on ${device}`,
		device,
		proxy: ADDRESSES.web.ipv6,
		needs: [...DEVICE_NEEDS[device], 'tcx', 'modules'] as FeatureName[],
	})),
];
