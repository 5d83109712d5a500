/** Which labs the tests of this chapter run in, and what they do in all of them. */
import type { Device, Forward, Lab, LabRequest, Node, Wire } from 'pathproof';
import type { FeatureName } from '../../kernels/features.ts';

export interface Row {
	title: string;
	needs: readonly FeatureName[];
	lab: LabRequest;
	/** the container that is meant */
	who: 'web' | 'api';
	wire: Wire;
	device: Device;
	forward: Forward;
}

/** One lab for two rows: what is real on its wire is seen of both ways past the stack. */
const BOTH: LabRequest = {
	wire: 'virtio',
	device: 'veth',
	forward: 'redirect',
	containers: { web: {}, api: { forward: 'fib' } },
};
export const SAMPLE: readonly Row[] = [
	{ ...row('virtio', 'veth', 'redirect'), lab: BOTH },
	{ ...row('virtio', 'veth', 'fib'), lab: BOTH, who: 'api' },
];

/** Every wire, device and way; the sample's are not among them. */
export const OTHERS: readonly Row[] = (['virtio', 'veth'] as const)
	.flatMap((wire) =>
		(['veth', 'netkit-l3', 'netkit-l2'] as const).flatMap((device) =>
			(['redirect', 'fib', 'stack'] as const).map((forward) => row(wire, device, forward)),
		),
	)
	.filter(({ title }) => !SAMPLE.some((sample) => sample.title === title));

function row(wire: Wire, device: 'veth' | 'netkit-l2' | 'netkit-l3', forward: Forward): Row {
	return {
		title: `${wire} wire, ${device}, ${forward}`,
		needs: [...(wire === 'virtio' ? (['virtio-net'] as const) : []), device === 'veth' ? 'veth' : 'netkit'],
		lab: { wire, device, forward },
		who: 'web',
		wire,
		device,
		forward,
	};
}

/** Bulk TCP from here to there, over port 7. Answers how many bytes arrived. */
export async function stream(
	from: Node,
	to: Node,
	bytes: number,
	{ family = 6 }: { family?: 4 | 6 } = {},
): Promise<number> {
	await using sink = await to.spawn(['sh', '-c', `socat -u -dd TCP${family}-LISTEN:7,reuseaddr STDOUT | wc -c`]);
	await sink.waitFor(/listening on/, 30_000);
	const socat = `head -c ${bytes} /dev/zero | socat -u - TCP${family}:${to.literal(family)}:7`;
	await from.exec(['sh', '-c', socat], { timeout: 60_000 });
	return Number((await sink.ended).stdout);
}

/** Commands in a node, one a line. */
export async function run(node: Node, ...commands: string[]): Promise<string> {
	return (await node.exec(['sh', '-ec', commands.join('\n')])).stdout;
}

/** The container of a row. */
export function containerOf(lab: Lab, { who }: Row): Node {
	return lab[who];
}

export const FAMILIES = [6, 4] as const;
