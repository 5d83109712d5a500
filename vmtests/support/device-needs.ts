/** Which features a kernel must have for a device to be made and guarded. An ipvlan slave keeps its programs by links alone (TCX, 6.6). */
import type { Device } from '../../impl/container.ts';
import { type FeatureName, featureClaim } from '../../kernels/features.ts';
import type { ProvidedKernel } from './provided.ts';

export const DEVICE_NEEDS: Record<Device, FeatureName[]> = {
	none: [],
	veth: ['veth'],
	'netkit-l2': ['netkit'],
	'netkit-l3': ['netkit'],
	'ipvlan-l2': ['ipvlan', 'tcx'],
	'ipvlan-l3': ['ipvlan', 'tcx'],
	'ipvlan-l3s': ['ipvlan', 'tcx'],
};

/** What is known of a kernel before it is asked: whether it lacks none of these. */
export function hasDevice(kernel: ProvidedKernel, device: Device): boolean {
	return DEVICE_NEEDS[device].every((feature) => featureClaim(kernel, feature).claim !== 'lacks');
}
