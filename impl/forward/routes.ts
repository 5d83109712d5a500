/**
 * The choice of an uplink where the host's routes decide, as commands for `ip -batch`. Pure: nothing here runs them.
 *
 *   1000  what the main table knows better than by its default route
 *   1001  from the container: the table of its first uplink's next hop, then of its second's, …
 *   1009  from the container: nowhere else
 */
import { createHash } from 'node:crypto';
import type { ContainerSpec, Uplink } from '../container.ts';
import type { Family } from '../ip/ip.ts';

export const MAIN_FIRST = 1000;
const FIRST_CHOICE = 1001;
const NOWHERE_ELSE = 1009;
/** Below are those that people write by hand. */
const TABLES = 7_000_000;
const MOST_TABLES = 2 ** 30;

/**
 * By the index of an uplink and what is beyond it, so that containers which agree on both share one, and others never do: of a hundred
 * next hops two would meet once in 200,000 hosts.
 */
export function tableOf(ifindex: number, nextHop: string): number {
	const hash = createHash('sha256').update(`${ifindex} ${nextHop}`).digest();
	return TABLES + (hash.readUInt32LE(0) % MOST_TABLES);
}

/** Through the host's stack, as its programs ask it (`fib`), or by ipvlan of layer 3, which asks for what comes from an address too. */
export function usesRoutes({ device, forward }: Pick<ContainerSpec, 'device' | 'forward'>): boolean {
	return forward === 'stack' || forward === 'fib' || device === 'ipvlan-l3' || device === 'ipvlan-l3s';
}

const FAMILIES = [
	{
		family: '-6',
		all: '::/0',
		length: 128,
		of: (spec: ContainerSpec) => spec.ipv6,
		via: ({ ipv6NextHop }: Uplink) => ipv6NextHop,
	},
	{
		family: '-4',
		all: '0.0.0.0/0',
		length: 32,
		of: (spec: ContainerSpec) => spec.ipv4,
		via: ({ ipv4NextHop }: Uplink) => ipv4NextHop,
	},
] as const;

/** By the name of an uplink, its index. */
export type Indexes = (device: string) => number;

/** The one route of a table. */
export interface UplinkRoute {
	family: Family;
	/** all destinations */
	to: string;
	nextHop: string;
	device: string;
	table: number;
}

/** What all containers with these next hops share. */
export function uplinkRoutes(spec: ContainerSpec, index: Indexes): UplinkRoute[] {
	return FAMILIES.flatMap(({ family, all, of, via }) =>
		of(spec) === null
			? []
			: spec.uplinks.flatMap((uplink) => {
					const { device } = uplink;
					const nextHop = via(uplink);
					return nextHop ? [{ family, to: all, nextHop, device, table: tableOf(index(device), nextHop) }] : [];
				}),
	);
}

/** To be typed after `ip`. `replace`: it may be there already. */
export function replaceRoute({ to, nextHop, device, table }: UplinkRoute): string {
	return `route replace ${to} via ${nextHop} dev ${device} table ${table}`;
}

/** The rules of one container, to be typed after `ip rule add`. None where no next hop is told: then the host's own routes decide. */
export function containerRules(spec: ContainerSpec, index: Indexes): { family: Family; rules: string[] }[] {
	return FAMILIES.map(({ family, length, of, via }) => {
		const address = of(spec);
		const chosen = spec.uplinks.filter((uplink) => via(uplink) !== undefined);
		if (address === null || !chosen.length) return { family, rules: [] };
		return {
			family,
			rules: [
				...chosen.map(
					(uplink, order) =>
						`pref ${FIRST_CHOICE + order} from ${address}/${length} lookup ${tableOf(index(uplink.device), via(uplink)!)}`,
				),
				`pref ${NOWHERE_ELSE} from ${address}/${length} unreachable`,
			],
		};
	}).filter(({ rules }) => rules.length);
}

/** Before all rules of containers: what to type after `ip -6 rule` and `ip -4 rule`, `add` or `del` between. */
export const MAIN_FIRST_RULE = `pref ${MAIN_FIRST} lookup main suppress_prefixlength 0`;

/** Whether the rules, as `ip -j rule` has them, hold any that is a container's. */
export function isContainerRule({ priority }: { priority: number }): boolean {
	return priority > MAIN_FIRST && priority <= NOWHERE_ELSE;
}

/** One for each family, before all rules of containers. Another's of the same priority is none of ours. */
export function isSharedRule(rule: { priority: number; table?: string; suppress_prefixlen?: number }): boolean {
	return rule.priority === MAIN_FIRST && rule.table === 'main' && rule.suppress_prefixlen === 0;
}
