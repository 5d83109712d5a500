/** Where the tour goes: the devices of its containers, and whether the kernel has them. */
import type { Vm } from '../../../kernels/vm.ts';
import type { Device } from '../types.ts';

interface Stop {
	device: Device;
	/** what `ip link add type` calls it */
	type: string;
	/** the release that brought it */
	since: string;
}

const STOPS: readonly Stop[] = [
	// 35dfaad7188c
	{ device: 'netkit-l3', type: 'netkit', since: '6.7' },
	// e314dbdc1c0d
	{ device: 'veth', type: 'veth', since: '2.6.24' },
];

export interface Lack {
	device: Device;
	/** what to say of it */
	why: string;
}

/** Makes a device of each kind in the guest, and takes it away again: what cannot be made is lacking. */
export async function findStops(vm: Vm): Promise<{ devices: Device[]; lacking: Lack[] }> {
	const devices: Device[] = [];
	const lacking: Lack[] = [];
	for (const { device, type, since } of STOPS) {
		const made = await vm.exec(['ip', 'link', 'add', 'probe0', 'type', type, 'peer', 'name', 'probe1'], {
			reject: false,
		});
		if (made.code === 0) {
			await vm.exec(['ip', 'link', 'del', 'probe0']);
			devices.push(device);
		} else lacking.push({ device, why: sayWhy(vm, type, since, made.stderr) });
	}
	return { devices, lacking };
}

function sayWhy({ kernel }: Vm, type: string, since: string, said: string): string {
	const reason = kernel.tier === 'image' ? 'the package of its modules is gone' : `${type} came with ${since}`;
	return `linux ${kernel.id} has no ${type}: ${reason} (ip: ${said.trim()})`;
}
