/** The words for a lab, of tests and of the command line. */
import { DEVICES, type Device, FORWARDS_OF, type Forward } from '../../impl/container.ts';
import { PathproofError } from '../../kernels/errors.ts';

/** For the mode that is used most. */
const ALIASES = { netkit: 'netkit-l3', ipvlan: 'ipvlan-l2' } as const satisfies Record<string, Device>;

/** What can be built. */
export const LAB_DEVICES = ['netkit', 'ipvlan', ...DEVICES] as const;
export const LAB_FORWARDS = [...new Set(Object.values(FORWARDS_OF).flat())];

export type LabDevice = (typeof LAB_DEVICES)[number];

export interface LabWords {
	device: LabDevice;
	forward: Forward;
}

export function meantDevice(device: LabDevice): Device {
	return device in ALIASES ? ALIASES[device as keyof typeof ALIASES] : (device as Device);
}

/** What a command shows of a device where it is told nothing else: past the host's stack, if there is a way. */
export function usualForward(device: LabDevice): Forward {
	const ways = FORWARDS_OF[meantDevice(device)];
	return ways.find((way) => way === 'redirect') ?? ways[0]!;
}

/** Throws stage `usage` where that device has no such way. */
export function checkPair({ device, forward }: LabWords): void {
	const ways = FORWARDS_OF[meantDevice(device)];
	if (!ways.includes(forward)) throw wrong(`${device} has no forward ${forward}`, `use ${ways.join(', ')}`);
}

/** `netkit/redirect`. Throws stage `usage` for what is no lab. */
export function parseLab(text: string): LabWords {
	const [wantedDevice, wantedForward, ...more] = text.split('/');
	const device = LAB_DEVICES.find((word) => word === wantedDevice);
	const forward = LAB_FORWARDS.find((word) => word === wantedForward);
	if (!device || !forward || more.length)
		throw wrong(
			`"${text}" is no lab`,
			`DEVICE/FORWARD, of ${LAB_DEVICES.join(', ')} and ${LAB_FORWARDS.join(', ')}: --lab netkit/redirect`,
		);
	checkPair({ device, forward });
	return { device, forward };
}

function wrong(message: string, hint: string): PathproofError {
	return new PathproofError(message, { stage: 'usage', hint });
}
