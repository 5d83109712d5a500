/** Which features a kernel must have for a device to be made and guarded. An ipvlan slave keeps its programs by links alone (TCX, 6.6). */
import type { Device } from '../../impl/container.ts';
import type { FeatureName } from '../../kernels/features.ts';

export const DEVICE_NEEDS: Record<Device, FeatureName[]> = {
	none: [],
	veth: ['veth'],
	'netkit-l2': ['netkit'],
	'netkit-l3': ['netkit'],
	'ipvlan-l2': ['ipvlan', 'tcx'],
	'ipvlan-l3': ['ipvlan', 'tcx'],
	'ipvlan-l3s': ['ipvlan', 'tcx'],
};
