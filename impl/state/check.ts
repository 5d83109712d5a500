/** Whether what is on this host is what its containers were asked to be, and what to type where it is not. */
import { existsSync, readFileSync } from 'node:fs';
import { deviceIndex, findDevice } from '../addresses.ts';
import { type ContainerSpec, netnsOf } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import { isIpvlan, slaveIdIn } from '../devices/ipvlan.ts';
import { containerCgroup } from '../devices/none.ts';
import { devicePair } from '../devices/wiring.ts';
import { isLoaded, pinPath, withMap } from '../forward/datapath.ts';
import { linkdownSwitches } from '../forward/linkdown.ts';
import { containerRules, isSharedRule, MAIN_FIRST_RULE, usesRoutes } from '../forward/routes.ts';
import { addressesOf, allowedRows, containerRow, endpointRows, type Row } from '../forward/tables.ts';
import { checkIdentity } from '../identity/check.ts';
import { checkTls } from '../tls/check.ts';
import { attachmentsOf, expectedPrograms, isThere, lookAt, pinnedProgram, programsBefore } from './attached.ts';
import { checkForeign, checkSettings } from './device.ts';
import { type HostFacts, hostFacts, type InnerFacts, innerFacts } from './host.ts';
import type { ContainerRecord } from './records.ts';
import { remake } from './words.ts';

export interface Finding {
	/** null: of the host as a whole */
	container: string | null;
	what: string;
	expected: string;
	found: string;
	/** a command that mends it */
	hint: string;
}

/** Those whose netns and device are there: what is dead is garbage.ts's. */
export async function checkContainers(records: readonly ContainerRecord[]): Promise<Finding[]> {
	if (!records.length) return [];
	const specs = records.map(({ spec }) => spec);
	const facts = await hostFacts();
	const findings: Finding[] = [];
	for (const spec of specs) findings.push(...(await checkContainer(spec, specs, facts)));
	return findings;
}

async function checkContainer(
	spec: ContainerSpec,
	all: readonly ContainerSpec[],
	facts: HostFacts,
): Promise<Finding[]> {
	const { name } = spec;
	const lack: Lack = (what, expected, found, hint = remake(spec)) => ({ container: name, what, expected, found, hint });
	if (spec.identity) return [...checkIdentity(spec, all), ...(await checkTls(spec))];
	if (spec.device === 'none') {
		const path = containerCgroup(name);
		return existsSync(path) ? [] : [lack('its cgroup', path, 'no such directory', `mkdir -p ${path}`)];
	}
	const missing = spec.uplinks.filter(({ device }) => findDevice(device) === null);
	// Nothing else can be told of a container whose uplink is gone: indexes of devices are what maps and rules are made of.
	if (missing.length)
		return missing.map(({ device }) => lack(`its uplink ${device}`, `a device ${device}`, 'no such device'));
	const inner = await innerFacts(spec);
	const slave = isIpvlan(spec.device) && inner?.link ? await slaveIdIn(netnsOf(spec)) : null;
	const down = spec.uplinks.filter(({ device }) => !facts.links.get(device)?.flags.includes('UP'));
	return [
		...down.map(({ device }) => lack(`its uplink ${device}`, 'up', 'down', `ip link set dev ${device} up`)),
		...checkHostEnd(spec, facts, lack),
		...(inner ? checkInside(spec, inner, lack) : []),
		...checkSettings(spec, facts.links.get(name) ?? null, inner?.link ?? null, lack),
		...checkPrograms(spec, inner?.link?.ifindex ?? null, lack),
		...checkRows(spec, facts, slave, lack),
		...checkRouting(spec, facts, lack),
		...(await checkTls(spec)),
	];
}

/** Of one container. Without a hint, what makes it anew. */
export type Lack = (what: string, expected: string, found: string, hint?: string) => Finding;

function checkHostEnd(spec: ContainerSpec, facts: HostFacts, lack: Lack): Finding[] {
	const { name } = spec;
	const kind = pairKind(spec.device);
	const link = facts.links.get(name);
	if (!kind || !link) return [];
	const pair = devicePair(name, netnsOf(spec), link.mtu);
	return [
		...(link.flags.includes('UP') ? [] : [lack(`its host end ${name}`, 'up', 'down', `ip link set dev ${name} up`)]),
		...(kind.ethernet && !link.addr_info.some(({ local }) => local === 'fe80::1')
			? [
					lack(
						`the gateway's address on ${name}`,
						'fe80::1/64',
						'no such address',
						`ip addr add fe80::1/64 dev ${name} nodad`,
					),
				]
			: []),
		...addressesOf(spec)
			.filter((address) => !facts.routes.some(({ dst, dev, table }) => dst === address && dev === name && !table))
			.map((address) =>
				lack(
					`the host's route to ${address}`,
					`${address} dev ${name}`,
					'no such route',
					`ip route add ${address} dev ${name}`,
				),
			),
		...(kind.ethernet ? addressesOf(spec) : [])
			.filter(
				(address) =>
					!facts.neighbours.some(({ dst, dev, lladdr }) => dst === address && dev === name && lladdr === pair.innerMac),
			)
			.map((address) =>
				lack(
					`the host's neighbour ${address}`,
					`${address} at ${pair.innerMac}, permanent`,
					'no such neighbour',
					`ip neigh replace ${address} lladdr ${pair.innerMac} dev ${name} nud permanent`,
				),
			),
	];
}

function checkInside(spec: ContainerSpec, { link, defaults }: InnerFacts, lack: Lack): Finding[] {
	const netns = netnsOf(spec);
	if (!link) return [lack(`eth0 in its netns ${netns}`, 'a device', 'no such device')];
	const type = (command: string) => `ip -n ${netns} ${command}`;
	const families = [
		[6, spec.ipv6, 128],
		[4, spec.ipv4, 32],
	] as const;
	return [
		...(link.flags.includes('UP') ? [] : [lack('eth0 in its netns', 'up', 'down', type('link set dev eth0 up'))]),
		...families.flatMap(([, address, length]) =>
			address === null || link.addr_info.some(({ local, prefixlen }) => local === address && prefixlen === length)
				? []
				: [
						lack(
							`its address ${address}`,
							`${address}/${length} on eth0`,
							'no such address',
							type(`addr add ${address}/${length} dev eth0`),
						),
					],
		),
		...families.flatMap(([family, address]) =>
			address === null || defaults.some((one) => one.family === family)
				? []
				: [lack(`its IPv${family} default route`, 'by eth0', 'no such route')],
		),
		...checkForeign(spec, link, lack),
	];
}

function checkPrograms(spec: ContainerSpec, slave: number | null, lack: Lack): Finding[] {
	const attached = attachmentsOf(spec, slave).map(lookAt);
	return expectedPrograms(spec).flatMap((placed) => {
		const { program, on } = placed;
		const what = `${program} on ${typeof on === 'object' ? on.device : on === 'eth0 inside' ? 'eth0 in its netns' : `this host (${on})`}`;
		const found = attached.find((one) => isThere(one, placed, slave));
		if (!found) return [lack(what, 'attached', 'not attached')];
		if (found.id === null)
			return [lack(what, 'attached', found.kind === 'clsact' ? 'its filter is gone' : 'its link is detached')];
		const pinned = pinnedProgram(pinPath('programs', program));
		const [before] = programsBefore(found);
		return [
			...(found.id === pinned.id
				? []
				: [lack(what, `program ${pinned.id}, as all others`, `program ${found.id}`, 'pathproof net upgrade')]),
			...(before
				? [
						lack(
							what,
							'before all others',
							`behind program ${before.program}`,
							before.link ? `bpftool link detach id ${before.link}` : undefined,
						),
					]
				: []),
		];
	});
}

/** `slave` of struct endpoint: by it the programs know an ipvlan container's device. */
const SLAVE = { start: 4, end: 8 } as const;

/** `slave`: what the kernel says of that device; null: it is none, or not there. */
function checkRows(spec: ContainerSpec, facts: HostFacts, slave: number | null, lack: Lack): Finding[] {
	if (!isLoaded()) return [lack('the datapath', 'loaded', 'nothing is pinned')];
	const kind = pairKind(spec.device);
	const pair = devicePair(spec.name, netnsOf(spec), facts.links.get(spec.name)?.mtu ?? 0);
	const rows: Row[] = [
		...(kind ? [containerRow(spec, kind, pair.hostMac)] : []),
		...endpointRows(spec, slave ?? 0),
		...allowedRows(spec),
	];
	return rows.flatMap(({ map, key, value }) => {
		const found = withMap(map, (open) => open.lookup(key));
		if (isIpvlan(spec.device) && slave === null && map === 'endpoints') found?.fill(0, SLAVE.start, SLAVE.end);
		if (found?.equals(value)) return [];
		return [
			lack(
				`its row of the map ${map}`,
				`${key.toString('hex')}: ${value.toString('hex')}`,
				found?.toString('hex') ?? 'no such row',
			),
		];
	});
}

function checkRouting(spec: ContainerSpec, facts: HostFacts, lack: Lack): Finding[] {
	const { forward, name } = spec;
	if (!usesRoutes(spec)) return [];
	const switches = [
		...(forward === 'stack' ? ['net/ipv6/conf/all/forwarding', 'net/ipv4/ip_forward'] : []),
		...(forward === 'fib' ? ['ipv6', 'ipv4'].map((family) => `net/${family}/conf/${name}/forwarding`) : []),
		...linkdownSwitches(spec),
	];
	const rules = facts.rules.map(
		({ priority, src, table, action }) => `pref ${priority} from ${src} ${action ?? `lookup ${table}`}`,
	);
	const wanted = containerRules(spec, deviceIndex);
	return [
		...switches.flatMap((file) => {
			const path = `/proc/sys/${file}`;
			const value = existsSync(path) ? readFileSync(path, 'utf8').trim() : 'no such sysctl';
			return value === '1' ? [] : [lack(`the sysctl ${file}`, '1', value, `sysctl -w ${file}=1`)];
		}),
		...wanted.flatMap(({ family, rules: own }) => [
			...own
				.filter((rule) => !rules.includes(rule.replace(/\/\d+ /, ' ')))
				.map((rule) => lack(`its rule`, rule, 'no such rule', `ip ${family} rule add ${rule}`)),
			...(facts.rules.some((rule) => rule.family === family && isSharedRule(rule))
				? []
				: [lack('the rule before all', MAIN_FIRST_RULE, 'no such rule', `ip ${family} rule add ${MAIN_FIRST_RULE}`)]),
		]),
	];
}
