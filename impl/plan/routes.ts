/** The rules, routes and sysctls of a container whose uplink the host's routes choose. */
import { deviceIndex, findDevice, isUp } from '../addresses.ts';
import type { ContainerSpec } from '../container.ts';
import { ignoreDeadLinks, linkdownSwitches } from '../forward/linkdown.ts';
import {
	containerRules,
	isContainerRule,
	isSharedRule,
	MAIN_FIRST,
	MAIN_FIRST_RULE,
	replaceRoute,
	type UplinkRoute,
	uplinkRoutes,
	usesRoutes,
} from '../forward/routes.ts';
import { enableDeviceForwarding, enableForwarding } from '../forward/stack.ts';
import { FAMILIES, type Family, ipJson } from '../ip/ip.ts';
import { hostRules, type Route, type Rule } from '../state/host.ts';
import { type Others, readRecords } from '../state/records.ts';
import type { Step } from '../step.ts';
import { ipStep, ipSteps } from './steps.ts';

/** `others` and `begun`: as of planAdd. */
export async function routeSteps(spec: ContainerSpec, others: Others, begun: ContainerSpec | null): Promise<Step[]> {
	if (!usesRoutes(spec)) return [];
	// the rule that an interrupted call of the only one made is there now, and goes with what is undone first
	const shared = begun && usesRoutes(begun) && !others().some(usesRoutes) ? [] : await sharedRules();
	return [
		...forwardingSteps(spec),
		...(linkdownSwitches(spec).length
			? [{ what: 'leave an uplink that has no carrier for the next', run: () => ignoreDeadLinks(spec) }]
			: []),
		...ipSteps(null, possibleRoutes(spec).map(replaceRoute)),
		...containerRules(spec, deviceIndex).flatMap(({ family, rules }) => [
			ipStep({ netns: null, family }, [
				...(shared.some((rule) => rule.family === family) ? [] : [`rule add ${MAIN_FIRST_RULE}`]),
				...rules.map((rule) => `rule add ${rule}`),
			]),
		]),
	];
}

function forwardingSteps({ name, forward }: ContainerSpec): Step[] {
	const ours = () => new Set(readRecords().map(({ spec }) => spec.name));
	if (forward === 'stack') return [{ what: 'switch forwarding on', run: () => enableForwarding(ours()) }];
	if (forward === 'fib')
		return [{ what: `switch forwarding on for ${name} alone`, run: () => enableDeviceForwarding(name, ours()) }];
	return [];
}

/** The kernel takes no route by a device that is down, and takes those away that it had. */
function possibleRoutes(spec: ContainerSpec): UplinkRoute[] {
	return uplinkRoutes({ ...spec, uplinks: spec.uplinks.filter(({ device }) => isUp(device)) }, deviceIndex);
}

/** Those of these containers that are not there, though their uplinks are up: what a device loses when it is set down does not come back. */
export async function lostRoutes(specs: readonly ContainerSpec[]): Promise<UplinkRoute[]> {
	const wanted = new Map(
		specs
			.filter(usesRoutes)
			.flatMap(possibleRoutes)
			.map((route) => [replaceRoute(route), route]),
	);
	if (!wanted.size) return [];
	const found = (
		await Promise.all(FAMILIES.map((family) => ipJson<Route>(null, [family, 'route', 'show', 'table', 'all'])))
	).flat();
	const there = new Set(found.map(({ gateway, dev, table }) => `${gateway} ${dev} ${table}`));
	return [...wanted.values()].filter(({ nextHop, device, table }) => !there.has(`${nextHop} ${device} ${table}`));
}

/** What of a container's rules is there; and the rule that all share and the tables of uplinks, where nobody else needs them. */
export async function removeRouteSteps(spec: ContainerSpec, others: Others): Promise<Step[]> {
	if (!usesRoutes(spec)) return [];
	const own = await hostRules((family) => {
		const address = family === '-6' ? spec.ipv6 : spec.ipv4;
		return address === null ? null : ['from', address];
	});
	const last = !others().some(usesRoutes);
	const shared = last ? await sharedRules() : [];
	const routes = (await Promise.all(FAMILIES.map((family) => unusedRoutes(family, spec, others)))).flat();
	return FAMILIES.flatMap((family) => {
		const of = <One extends { family: Family }>(all: readonly One[]) => all.filter((one) => one.family === family);
		return ipSteps({ netns: null, family }, [
			...of(shared).map(() => `rule del ${MAIN_FIRST_RULE}`),
			...of(own)
				.filter(isContainerRule)
				.map(({ priority, src }) => `rule del pref ${priority} from ${src}`),
			...of(routes).map(({ dst, table }) => `route del ${dst} table ${table}`),
		]);
	});
}

/** In the tables that nobody else's rules ask. The kernel takes away those of devices that are gone. */
async function unusedRoutes(
	family: Family,
	spec: ContainerSpec,
	others: Others,
): Promise<(Route & { family: Family })[]> {
	const routesOf = ({ uplinks, ...rest }: ContainerSpec) =>
		uplinkRoutes({ ...rest, uplinks: uplinks.filter(({ device }) => findDevice(device) !== null) }, deviceIndex);
	const unused = routesOf(spec).filter(
		(own) =>
			own.family === family &&
			!others().some((other) => usesRoutes(other) && routesOf(other).some(({ table }) => table === own.table)),
	);
	const found = await Promise.all(
		// by the device and not by the table: iproute2 fails where there is no such table
		[...new Set(unused.map(({ device }) => device))].map((device) =>
			ipJson<Route>(null, [family, 'route', 'show', 'table', 'all', 'dev', device]),
		),
	);
	return found
		.flat()
		.filter(({ table }) => unused.some((own) => String(own.table) === String(table)))
		.map((route) => ({ ...route, family }));
}

async function sharedRules(): Promise<Rule[]> {
	return (await hostRules(() => ['pref', String(MAIN_FIRST)])).filter(isSharedRule);
}
