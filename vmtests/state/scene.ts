/** A host with an uplink and a peer beyond it, and no container yet: what the tests of this chapter begin with. */
import { expect } from 'pathproof';
import { type ContainerRequest, containerSpec, type Device, FORWARDS_OF, type Forward } from '../../impl/container.ts';
import { addCommand } from '../../impl/state/words.ts';
import { type FeatureName, featureClaim } from '../../kernels/features.ts';
import type { ExecResult, Vm } from '../../kernels/vm.ts';
import { DEVICE_NEEDS } from '../support/device-needs.ts';
import type { Lab, LabRequest } from '../support/lab.ts';

const GUEST_NET = 'impl/net.ts';
const GUEST_STATE = 'vmtests/support/guest/state.ts';

export const UPLINK = { device: 'eth0', ipv6NextHop: '2001:db8:0:1::2', ipv4NextHop: '192.0.2.2' } as const;
export const PEER = { ipv6: '2001:db8:0:1::2', ipv4: '192.0.2.2' } as const;

export interface Cell {
	device: Device;
	forward: Forward;
	/** of the device */
	needs: FeatureName[];
	/** of the way of forwarding, beside those of its device */
	extra: FeatureName | null;
}

/** Every device with every way of forwarding that it has. */
export const CELLS: Cell[] = Object.entries(FORWARDS_OF).flatMap(([device, forwards]) =>
	forwards.map((forward) => ({
		device: device as Device,
		forward,
		needs: DEVICE_NEEDS[device as Device],
		extra: forward === 'redirect-egress' ? 'redirect-peer-egress' : null,
	})),
);

/** `web` and `api`: one may be added beside the other. */
export function request(name: 'web' | 'api', { device, forward }: Pick<Cell, 'device' | 'forward'>): ContainerRequest {
	const number = name === 'web' ? 10 : 11;
	if (device === 'none') return { name, device, forward };
	return {
		name,
		device,
		forward,
		ipv6: `2001:db8:0:2::${number}`,
		ipv4: `198.51.100.${number}`,
		uplinks: [UPLINK],
	};
}

/** The words of `pathproof net add` for it. */
export function addWords(request: ContainerRequest): string[] {
	if (request.identity) return addCommand(containerSpec(request)).split(' ').slice(1);
	const { name, device, forward, uplinks = [], ipv6, ipv4 } = request;
	return [
		...['net', 'add', name, '--device', device, '--forward', forward],
		...uplinks.flatMap((uplink) => [
			'--uplink',
			[uplink.device, uplink.ipv6NextHop, uplink.ipv4NextHop].filter(Boolean).join(),
		]),
		...(ipv6 ? ['--ipv6', ipv6] : []),
		...(ipv4 ? ['--ipv4', ipv4] : []),
	];
}

export class Scene {
	readonly vm: Vm;
	readonly lab: Lab;
	/** the library, in the agent's own process */
	readonly net;
	readonly state;

	constructor(lab: Lab) {
		this.lab = lab;
		this.vm = lab.vm;
		this.net = lab.vm.use<typeof import('../../impl/net.ts')>(GUEST_NET);
		this.state = lab.vm.use<typeof import('../support/guest/state.ts')>(GUEST_STATE);
	}

	// Properties, not methods: a test takes a scene apart.

	/** As one types it. A status other than 0 is an answer. */
	readonly pathproof = (
		words: readonly string[],
		options: { env?: Record<string, string> } = {},
	): Promise<ExecResult> => this.vm.exec(['pathproof', ...words], { reject: false, timeout: 120_000, ...options });

	/** Throws where it fails. Answers what it printed. */
	readonly done = async (words: readonly string[]): Promise<string> => {
		const { code, stdout, stderr } = await this.pathproof(words);
		expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' });
		return stdout;
	};

	/** Whether this kernel has it, by what its own table says. */
	readonly has = (feature: FeatureName | null): boolean =>
		feature === null || featureClaim(this.lab.vm.kernel, feature).claim === 'has';

	/** Of a container with a netns: both families reach the peer. */
	readonly reaches = async (netns: string): Promise<void> => {
		for (const address of [PEER.ipv6, PEER.ipv4]) await this.vm.exec(['ping', '-c1', '-W5', address], { netns });
	};
}

export async function scene(lab: (request: LabRequest) => Promise<Lab>): Promise<Scene> {
	const made = await lab({ containers: {}, tracer: false });
	for (const route of ['2001:db8:0:2::/64 via 2001:db8:0:1::1', '198.51.100.0/24 via 192.0.2.1'])
		await made.vm.exec(['ip', '-n', 'peer', 'route', 'add', ...route.split(' ')]);
	return new Scene(made);
}
