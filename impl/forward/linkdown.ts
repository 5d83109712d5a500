/**
 * A next hop beyond an uplink without carrier is taken all the same, unless the uplink's own sysctl says otherwise (4.2:
 * 0eeb075fad73, 35103d11173b): then the next uplink's route is. An uplink that is set down loses its routes anyway.
 */
import type { ContainerSpec } from '../container.ts';
import { type Former, putBack, readSysctl, remember, remembered, writeSysctl } from './sysctls.ts';

const SWITCH = /^net\/ipv[46]\/conf\/(.+)\/ignore_routes_with_linkdown$/;

/** The sysctls of those uplinks that a container leaves for another when they are dead. */
export function linkdownSwitches({ forward, uplinks }: Pick<ContainerSpec, 'forward' | 'uplinks'>): string[] {
	if ((forward !== 'fib' && forward !== 'stack') || uplinks.length < 2) return [];
	return uplinks.flatMap(({ device }) =>
		['ipv6', 'ipv4'].map((family) => `net/${family}/conf/${device}/ignore_routes_with_linkdown`),
	);
}

export function isLinkdownSwitch(name: string): boolean {
	return SWITCH.test(name);
}

export function ignoreDeadLinks(spec: ContainerSpec): void {
	for (const name of linkdownSwitches(spec)) {
		if (readSysctl(name) === '1') continue;
		remember(name);
		writeSysctl(name, '1');
	}
}

/** Those that were switched on here, and that none of the containers needs. */
export function unusedSwitches(containers: Iterable<ContainerSpec>): Former[] {
	const switched = remembered().filter(({ name }) => isLinkdownSwitch(name));
	if (!switched.length) return [];
	const used = new Set(Iterator.from(containers).flatMap(linkdownSwitches));
	return switched.filter(({ name }) => !used.has(name));
}

export function restoreLinkdown(containers: Iterable<ContainerSpec>): void {
	putBack(unusedSwitches(containers));
}
