/**
 * Whether a container's device is set as it was: what the host has set of it, which its owner cannot; and of what its owner can, that by
 * which others are harmed.
 */
import { type ContainerSpec, netnsOf } from '../container.ts';
import { INNER, pairKind, type Settings } from '../devices/device.ts';
import { isIpvlan, slaveKind, slaveSettings } from '../devices/ipvlan.ts';
import { addressesOf } from '../forward/tables.ts';
import { isNobodys } from '../unicast.ts';
import type { Finding, Lack } from './check.ts';
import type { Link } from './host.ts';

/** `host` and `inner`: the ends of its device, as far as they are there. */
export function checkSettings(spec: ContainerSpec, host: Link | null, inner: Link | null, lack: Lack): Finding[] {
	const { name, device } = spec;
	const kind = pairKind(device);
	const differences = (link: Link, wanted: Settings, where: string, command: string) =>
		Object.entries(wanted).flatMap(([setting, value]) => {
			const found = link.linkinfo?.info_data?.[setting];
			if (found === value) return [];
			return [lack(`the setting ${setting} of ${where}`, `${value}`, `${found ?? 'not set'}`, command)];
		});
	if (kind && host) return differences(host, kind.opened, name, `ip ${kind.open({ name }).join()}`);
	if (!isIpvlan(device) || !inner) return [];
	const command = `ip -n ${netnsOf(spec)} link set dev ${INNER} type ${slaveKind(device)}`;
	return differences(inner, slaveSettings(device), `${INNER} in its netns`, command);
}

/** In layer 3 ipvlan looks for every destination among its slaves first: by an address that is not its own, one keeps it from the others. */
export function checkForeign(spec: ContainerSpec, { addr_info }: Link, lack: Lack): Finding[] {
	if (spec.device !== 'ipvlan-l3' && spec.device !== 'ipvlan-l3s') return [];
	const own = addressesOf(spec);
	return addr_info
		.filter(({ local }) => !own.includes(local) && !isNobodys(local))
		.map(({ local, prefixlen }) =>
			lack(
				`${local} on ${INNER} in its netns`,
				`its own addresses alone: the other slaves of ${spec.uplinks[0]!.device} do not reach this one`,
				`${local}/${prefixlen}`,
				`ip -n ${netnsOf(spec)} addr del ${local}/${prefixlen} dev ${INNER}`,
			),
		);
}
