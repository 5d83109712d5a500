/** A host with two uplinks, and what its peer sees of both wires. */
import type { Device, Forward, Lab, LabRequest, Node } from 'pathproof';
import type { FeatureName } from '../../kernels/features.ts';
import { captured } from '../support/capture.ts';
import { Node as LabEnd } from '../support/nodes.ts';

/** How each container is wired: a row of what these chapters run. */
export interface Wired {
	title: string;
	needs: readonly FeatureName[];
	lab: LabRequest & { device: Device; forward: Forward };
}

export const PAIRS = ['veth', 'netkit-l3', 'netkit-l2'] as const;
export const SLAVES = ['ipvlan-l2', 'ipvlan-l3', 'ipvlan-l3s'] as const;

/** On the peer's `lo`, reached by either wire; no route of the host's knows it but by a default route. */
export function beyond({ state, vm, trace }: Lab): Node {
	return new LabEnd({ ...state.peer, ipv6: '2001:db8:0:f::1', ipv4: '198.18.0.1' }, vm, trace);
}

/** The peer by the other wire. */
export function peerByEth1({ state, vm, trace }: Lab): Node {
	return new LabEnd({ ...state.peer, ipv6: '2001:db8:0:3::2', ipv4: '203.0.113.2' }, vm, trace);
}

/** Commands in the host, one a line. */
export async function inHost({ host }: Lab, ...commands: string[]): Promise<string> {
	return (await host.exec(['sh', '-ec', commands.join('\n')])).stdout;
}

/** Sources of the frames that came out of a wire at the peer while `act` ran. */
export async function sourcesAt(
	{ peer }: Lab,
	device: 'eth0' | 'eth1',
	act: () => Promise<unknown>,
): Promise<Set<string>> {
	const stdout = await captured(peer, `-i ${device} --direction in`, act);
	return new Set(Array.from(stdout.matchAll(/ IP6? (\S+) > /g), ([, source]) => addressOf(source!)));
}

/** `192.0.2.1.53` and `2001:db8::1.53` without their ports. */
function addressOf(end: string): string {
	if (end.includes(':')) return end.replace(/\.\d+$/, '');
	return end.split('.').slice(0, 4).join('.');
}
