/**
 * A slave of the uplink: its MAC is the uplink's, its address says whose packet it is. What it sends passes no other device of the
 * host's. `private`: slaves of one uplink hand each other no unicast frames inside the kernel, past every hook.
 */
import { readFileSync } from 'node:fs';
import type { ContainerSpec, Device } from '../container.ts';
import { DatapathError } from '../errors.ts';
import { runIproute2 } from '../ip/iproute2.ts';
import { INNER, type Settings } from './device.ts';

export type IpvlanDevice = Extract<Device, `ipvlan-${string}`>;

export function isIpvlan(device: Device): device is IpvlanDevice {
	return device.startsWith('ipvlan-');
}

/** Made down and in the host's netns, where the programs are attached before it moves. Mode and flags are those of all slaves. */
export function createSlave({ name, uplinks }: Pick<ContainerSpec, 'name' | 'uplinks'>, device: IpvlanDevice): string {
	return `link add link ${uplinks[0]!.device} name ${name} type ${slaveKind(device)}`;
}

/** To be typed after `type`. */
export function slaveKind(device: IpvlanDevice): string {
	return `ipvlan mode ${modeOf(device)} private`;
}

/** What may be set of any of them, for all, by whoever governs the uplink. */
export function slaveSettings(device: IpvlanDevice): Settings {
	return { mode: modeOf(device), private: true };
}

function modeOf(device: IpvlanDevice): string {
	return device.replace('ipvlan-', '');
}

export function moveSlave(name: string, netns: string): string {
	return `link set dev ${name} netns ${netns} name ${INNER}`;
}

/** In the container's netns. L2 finds the next hop by ARP and neighbour discovery, L3 by the host's routes. */
export function slaveCommands(
	{ ipv6, ipv4, uplinks }: Pick<ContainerSpec, 'ipv6' | 'ipv4' | 'uplinks'>,
	device: IpvlanDevice,
): string[] {
	const [uplink] = uplinks;
	const routes = (address: string | null, length: 128 | 32, nextHop: string | undefined) => {
		const all = length === 128 ? '::/0' : '0.0.0.0/0';
		if (address === null) return [];
		if (device !== 'ipvlan-l2') return [`route add ${all} dev ${INNER}`];
		if (nextHop === undefined)
			throw new DatapathError(`ipvlan-l2 has to be told the next hop beyond ${uplink!.device}`, {
				usage: true,
				hint: `--uplink ${uplink!.device},2001:db8::1,192.0.2.1`,
			});
		return [`route add ${nextHop}/${length} dev ${INNER}`, `route add ${all} via ${nextHop} dev ${INNER}`];
	};
	return [
		'link set dev lo up',
		`link set dev ${INNER} addrgenmode none up`,
		...(ipv6 ? [`addr add ${ipv6}/128 dev ${INNER} nodad`] : []),
		...(ipv4 ? [`addr add ${ipv4}/32 dev ${INNER}`] : []),
		...routes(ipv6, 128, uplink!.ipv6NextHop),
		...routes(ipv4, 32, uplink!.ipv4NextHop),
	];
}

/** What the kernel calls it among the slaves of its uplink, never 0: its own netns cannot change it. */
export function slaveId(name: string): number {
	return Number(readFileSync(`/sys/class/net/${name}/dev_id`, 'utf8'));
}

/** The same of a container's device where it is; null where there is none: its owner may have renamed it meanwhile. */
export async function slaveIdIn(netns: string): Promise<number | null> {
	// /sys shows the devices of the netns in which it was mounted
	const words = ['netns', 'exec', netns, 'cat', `/sys/class/net/${INNER}/dev_id`];
	const { status, stdout } = await runIproute2('ip', words);
	return status === 0 ? Number(stdout) : null;
}
