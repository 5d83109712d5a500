/** The words of the command line for a lab. */
import { DEVICES, FORWARDS_OF } from '../../impl/container.ts';
import { PathproofError } from '../../kernels/errors.ts';

/** What can be built, `netkit` standing for the mode that is used most. */
export const LAB_DEVICES = ['netkit', 'ipvlan', ...DEVICES] as const;
export const LAB_FORWARDS = [...new Set(Object.values(FORWARDS_OF).flat())];

export interface LabWords {
	device: (typeof LAB_DEVICES)[number];
	forward: (typeof LAB_FORWARDS)[number];
}

/** `netkit/redirect`. Throws stage `usage` for what is no lab. */
export function parseLab(text: string): LabWords {
	const [wantedDevice, wantedForward, ...more] = text.split('/');
	const device = LAB_DEVICES.find((word) => word === wantedDevice);
	const forward = LAB_FORWARDS.find((word) => word === wantedForward);
	if (device && forward && !more.length) return { device, forward };
	throw new PathproofError(`"${text}" is no lab`, {
		stage: 'usage',
		hint: `DEVICE/FORWARD, of ${LAB_DEVICES.join(', ')} and ${LAB_FORWARDS.join(', ')}: --lab netkit/redirect`,
	});
}
