/** A container on a pair of devices: closed until the last step, since both ends are down, and of netkit blackholed too. */
import { readFileSync } from 'node:fs';
import type { ContainerSpec, Uplink } from '../container.ts';
import type { DevicePair, PairKind } from '../devices/device.ts';
import { devicePair, hostCommands, hostNeighbours, innerCommands } from '../devices/wiring.ts';
import { writeAllowed, writeContainer, writeEndpoints } from '../forward/tables.ts';
import { addNeighbour, type Neighbour, neighbourCommand } from '../ip/neighbour.ts';
import type { Others } from '../state/records.ts';
import type { Step } from '../step.ts';
import { routeSteps } from './routes.ts';
import { attachStep, ipStep } from './steps.ts';

/** `hosts`: the addresses of this host. `others` and `begun`: as of planAdd. */
export async function pairSteps(
	spec: ContainerSpec,
	kind: PairKind,
	{
		netns,
		hosts,
		others,
		begun,
	}: { netns: string; hosts: readonly string[]; others: Others; begun: ContainerSpec | null },
): Promise<Step[]> {
	const pair = devicePair(spec.name, netns, smallestMtu(spec.uplinks));
	return [
		ipStep(null, kind.create(pair)),
		...tableSteps(spec, kind, pair, hosts),
		...attachSteps(spec, kind),
		...(await routeSteps(spec, others, begun)),
		ipStep(null, [...hostCommands(spec, kind, pair), ...kind.open(pair)]),
		...neighbourSteps(hostNeighbours(spec, kind, pair)),
		ipStep(netns, innerCommands(spec, kind, pair)),
	];
}

/** Maps are filled before the programs are attached: no packet meets a program that knows nothing. */
function tableSteps(spec: ContainerSpec, kind: PairKind, pair: DevicePair, hosts: readonly string[]): Step[] {
	return [
		{
			what: `containers: ${spec.name} of tenant ${spec.tenant}`,
			run: () => writeContainer(spec, kind, pair.hostMac),
		},
		{
			what: `endpoints: ${spec.name} has ${[spec.ipv6, spec.ipv4].filter(Boolean).join(' and ')}`,
			run() {
				writeEndpoints(spec, hosts);
				writeAllowed(spec);
			},
		},
	];
}

export const FROM_CONTAINER = {
	stack: 'egress_guard',
	redirect: 'egress_neigh',
	'redirect-egress': 'egress_neigh',
	fib: 'egress_fib',
} as const;

function attachSteps({ name, forward, uplinks, guard }: ContainerSpec, kind: PairKind): Step[] {
	const program = FROM_CONTAINER[forward as keyof typeof FROM_CONTAINER];
	const own = attachStep(program, { device: name, hook: kind.hook, point: 'from-container' });
	if (forward === 'stack') return guard ? [own] : [];
	return [own, ...uplinks.map(({ device }) => attachStep('ingress_peer', { device, hook: 'tc', point: 'from-wire' }))];
}

function neighbourSteps(neighbours: readonly Neighbour[]): Step[] {
	if (!neighbours.length) return [];
	return [
		{
			what: neighbours.map((one) => `ip ${neighbourCommand(one)}`).join('\n'),
			run: () => neighbours.forEach(addNeighbour),
		},
	];
}

/** Past the stack nobody tells a container that the uplink it failed over to carries less. */
function smallestMtu(uplinks: readonly Uplink[]): number {
	return Math.min(...uplinks.map(({ device }) => Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'))));
}
