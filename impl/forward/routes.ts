/**
 * The choice of an uplink where the host's routes decide (stack, fib), as commands for `ip -batch`. Pure: nothing here runs them.
 *
 *   1000  what the main table knows better than by its default route
 *   1001  from the container: the table of its first uplink, then of its second, …
 *   1009  from the container: nowhere else
 */
import type { ContainerSpec, Uplink } from '../container.ts';
import type { Family } from '../ip/ip.ts';

export const MAIN_FIRST = 1000;
const FIRST_CHOICE = 1001;
const NOWHERE_ELSE = 1009;
/** The table of an uplink is this and its index. */
const TABLES = 7_000_000;

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

/** What all containers of these uplinks share. `replace`: it may be there already. */
export function uplinkRoutes(spec: ContainerSpec, index: Indexes): string[] {
	return FAMILIES.flatMap(({ all, of, via }) =>
		of(spec) === null
			? []
			: spec.uplinks.flatMap((uplink) => {
					const nextHop = via(uplink);
					return nextHop
						? [`route replace ${all} via ${nextHop} dev ${uplink.device} table ${TABLES + index(uplink.device)}`]
						: [];
				}),
	);
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
					({ device }, order) =>
						`pref ${FIRST_CHOICE + order} from ${address}/${length} lookup ${TABLES + index(device)}`,
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

export function isOwnTable(table: number): boolean {
	return table > TABLES && table < TABLES + 1_000_000;
}
