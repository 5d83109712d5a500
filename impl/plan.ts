/** What has to be done on this host to add a container, or to take one away: steps, in the order in which they are safe. */
import { readFileSync } from 'node:fs';
import { addressBytes, deviceIndex, findDevice, ownAddresses } from './addresses.ts';
import type { ContainerSpec, Uplink } from './container.ts';
import { type DevicePair, INNER, type PairKind, pairKind } from './devices/device.ts';
import { createSlave, type IpvlanDevice, isIpvlan, moveSlave, slaveCommands } from './devices/ipvlan.ts';
import { containerCgroup, makeCgroup, removeCgroup } from './devices/none.ts';
import { devicePair, hostCommands, innerCommands } from './devices/wiring.ts';
import { DatapathError } from './errors.ts';
import { hasPeerEgress } from './forward/abilities.ts';
import { attach, attachments, detachOne, isGone, removeUnusedQdiscs } from './forward/attach.ts';
import { ensureLoaded, hasTcxLinks, isLoaded, type ProgramName, unload, withProgram } from './forward/datapath.ts';
import { ignoreDeadLinks, linkdownSwitches, restoreLinkdown, unusedSwitches } from './forward/linkdown.ts';
import {
	containerRules,
	isContainerRule,
	isOwnTable,
	isSharedRule,
	MAIN_FIRST_RULE,
	uplinkRoutes,
} from './forward/routes.ts';
import { enableDeviceForwarding, enableForwarding, hasSwitched, restoreForwarding } from './forward/stack.ts';
import {
	addressesOf,
	forget,
	forgetDrops,
	isEndpoint,
	writeAllowed,
	writeContainer,
	writeEndpoints,
	writeNetns,
	writeNextHops,
} from './forward/tables.ts';
import { FAMILIES, type Family, type IpPlace, ipBatch, ipJson } from './ip/ip.ts';
import { hasNetns } from './netns.ts';
import { hostRules, type Route } from './state/host.ts';
import type { Step } from './step.ts';

/** The containers of a host: looked up when they must be, since that takes the longer the more there are. */
type Others = () => readonly ContainerSpec[];

/**
 * `others`: the containers of this host already. `undone`: what an interrupted call left under this name is gone by then. Throws a
 * DatapathError for what cannot be done here.
 */
export async function planAdd(spec: ContainerSpec, others: Others, { undone = false } = {}): Promise<Step[]> {
	refuse(spec, others);
	if (!undone) await refuseTaken(spec);
	if (spec.device === 'none')
		return [{ what: `mkdir -p ${containerCgroup(spec.name)}`, run: () => makeCgroup(spec.name) }];
	const netns = spec.netns ?? spec.name;
	const made = spec.netns === null ? [ipStep(null, [`netns add ${netns}`])] : [];
	const pair = pairKind(spec.device);
	if (isIpvlan(spec.device)) return [...made, ...slaveSteps(spec, spec.device, netns, others())];
	return [...made, ...(await pairSteps(spec, pair!, netns))];
}

/** For what is whole, half made or half taken away. `others`: the containers that stay. */
export async function planRemove(spec: ContainerSpec, others: readonly ContainerSpec[]): Promise<Step[]> {
	const netns = spec.netns ?? spec.name;
	if (spec.device === 'none') return [removeCgroupStep(spec, others), ...uplinkSteps(spec, others)];
	const routing = await routingLeft(spec, others);
	return [
		// a pair goes with its host end, at once; deleting the netns alone would take it along some time later
		...(findDevice(spec.name) ? [ipStep(null, [`link del dev ${spec.name}`])] : []),
		...((await hasSlave(spec, netns)) ? [ipStep(netns, [`link del dev ${INNER}`])] : []),
		...(spec.netns === null && hasNetns(netns) ? [ipStep(null, [`netns del ${netns}`])] : []),
		...routing,
		{ what: `forget ${spec.name} in the maps`, run: () => forget(spec, others) },
		{
			what: `remove the pins of ${spec.name}`,
			run() {
				for (const one of attachments().filter(isGone)) {
					// of an ipvlan slave, whose index nobody else remembers
					forgetDrops(one.ifindex);
					detachOne(one, true);
				}
			},
		},
		...uplinkSteps(spec, others),
	];
}

function refuse(spec: ContainerSpec, others: Others): void {
	for (const { device } of spec.uplinks) deviceIndex(device);
	if (spec.forward === 'redirect-egress' && !hasPeerEgress())
		throw new DatapathError('this kernel lacks redirect-peer-egress: bpf_redirect_peer with BPF_F_EGRESS (7.3)', {
			hint: '--forward redirect',
		});
	const taken = addressesOf(spec).find(
		(address) => isEndpoint(address) && others().some((other) => addressesOf(other).includes(address)),
	);
	if (taken) throw new DatapathError(`${taken} is another container's already`, { hint: 'pathproof net ls' });
	const own = new Set(ownAddresses().map((address) => addressBytes(address).toString('hex')));
	const hosts = addressesOf(spec).find((address) => own.has(addressBytes(address).toString('hex')));
	if (hosts && spec.device !== 'none')
		throw new DatapathError(`${hosts} is this host's own`, {
			hint: 'ip address; give it one that is routed to this host',
		});
	const netnsOf = ({ netns, name }: ContainerSpec) => netns ?? name;
	const owner =
		spec.netns === null
			? undefined
			: others().find((other) => other.device !== 'none' && netnsOf(other) === spec.netns);
	if (owner && spec.device !== 'none')
		throw new DatapathError(`the netns ${spec.netns} is ${owner.name}'s already`, {
			hint: `pathproof net show ${owner.name}`,
		});
	if (spec.netns !== null && !hasNetns(spec.netns))
		throw new DatapathError(`there is no netns ${spec.netns}`, {
			hint: `ip netns add ${spec.netns}, or ip netns attach ${spec.netns} PID`,
		});
	if (isIpvlan(spec.device)) {
		const other = others().find(
			({ device, uplinks }) =>
				isIpvlan(device) && device !== spec.device && uplinks[0]!.device === spec.uplinks[0]!.device,
		);
		if (other)
			throw new DatapathError(`the slaves of ${spec.uplinks[0]!.device} are ${other.device}, as ${other.name} is`, {
				hint: `use ${other.device}, or another uplink: all slaves of one have one mode`,
			});
	}
}

/** What is there already is somebody's: neither used nor, when something fails, taken away. */
async function refuseTaken(spec: ContainerSpec): Promise<void> {
	const what = hasNetns(spec.name) && spec.netns === null ? 'netns' : findDevice(spec.name) ? 'device' : null;
	if (what)
		throw new DatapathError(`there is a ${what} ${spec.name} already`, {
			hint:
				what === 'netns' ? `ip netns del ${spec.name}, or another name` : `ip link del ${spec.name}, or another name`,
		});
	if (spec.netns === null || spec.device === 'none') return;
	const links = await ipJson<{ ifname: string }>(spec.netns, ['link']);
	if (links.some(({ ifname }) => ifname === INNER))
		throw new DatapathError(`there is a device ${INNER} in the netns ${spec.netns} already`, {
			hint: `ip -n ${spec.netns} link`,
		});
}

/** Closed until the last step: down, and netkit blackholed too. */
async function pairSteps(spec: ContainerSpec, kind: PairKind, netns: string): Promise<Step[]> {
	const pair = devicePair(spec.name, netns, smallestMtu(spec.uplinks));
	return [
		ipStep(null, kind.create(pair)),
		...tableSteps(spec, kind, pair),
		...(isLoaded('ipvlan') ? [netnsStep([spec])] : []),
		...attachSteps(spec, kind),
		...(await routeSteps(spec)),
		ipStep(null, [...hostCommands(spec, kind, pair), ...kind.open(pair)]),
		ipStep(netns, innerCommands(spec, kind, pair)),
	];
}

/** Made where the host's links can be put on it, then moved; they move along. */
function slaveSteps(
	spec: ContainerSpec,
	device: IpvlanDevice,
	netns: string,
	others: readonly ContainerSpec[],
): Step[] {
	const [uplink] = spec.uplinks;
	const guards: Step[] = [
		attachStep('slave_guard', { device: spec.name, hook: 'tc', point: 'slave-egress' }),
		attachStep('slave_ingress', { device: spec.name, hook: 'tc', point: 'slave-ingress' }),
		netnsStep([...others, spec]),
		attachStep('uplink_guard', { device: uplink!.device, hook: 'tc', point: 'to-wire' }),
		attachStep('ingress_peer', { device: uplink!.device, hook: 'tc', point: 'from-wire' }),
		attachStep('uplink_ingress', { device: uplink!.device, hook: 'tc', point: 'from-wire', first: true }),
	];
	return [
		ipStep(null, [createSlave(spec, device)]),
		{
			what: `endpoints: ${spec.name} has ${[spec.ipv6, spec.ipv4].filter(Boolean).join(' and ')}`,
			run() {
				if (spec.guard && !hasTcxLinks())
					throw new DatapathError(
						'an ipvlan container cannot be guarded on this kernel, which has no TCX links (6.6)',
						{
							hint: '--device veth, or --no-guard',
						},
					);
				writeEndpoints(spec);
				writeAllowed(spec);
			},
		},
		...(spec.guard ? guards : []),
		ipStep(null, [moveSlave(spec.name, netns)]),
		ipStep(netns, slaveCommands(spec, device)),
	];
}

/** Where an uplink has ipvlan slaves, a socket of a netns that is nobody's cannot send by it. */
function netnsStep(specs: readonly ContainerSpec[]): Step {
	return {
		what: `netnses: ${specs.map(({ name }) => name).join(', ')} may send by an uplink of ipvlan`,
		run: () => writeNetns(specs),
	};
}

/** Maps are filled before the programs are attached: no packet meets a program that knows nothing. */
function tableSteps(spec: ContainerSpec, kind: PairKind, pair: DevicePair): Step[] {
	return [
		{
			what: `containers: ${spec.name} of tenant ${spec.tenant}`,
			run: () => writeContainer(spec, kind, pair.hostMac),
		},
		{
			what: `endpoints: ${spec.name} has ${[spec.ipv6, spec.ipv4].filter(Boolean).join(' and ')}`,
			run() {
				writeEndpoints(spec);
				writeAllowed(spec);
				writeNextHops(spec);
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

async function routeSteps(spec: ContainerSpec): Promise<Step[]> {
	if (!usesRoutes(spec)) return [];
	const there = await hostRules();
	return [
		spec.forward === 'stack'
			? { what: 'switch forwarding on', run: enableForwarding }
			: { what: `switch forwarding on for ${spec.name} alone`, run: () => enableDeviceForwarding(spec.name) },
		...(linkdownSwitches(spec).length
			? [{ what: 'leave an uplink that has no carrier for the next', run: () => ignoreDeadLinks(spec) }]
			: []),
		...stepOf({ netns: null }, uplinkRoutes(spec, deviceIndex)),
		...containerRules(spec, deviceIndex).flatMap(({ family, rules }) => [
			ipStep({ netns: null, family }, [
				...(there.some((rule) => rule.family === family && isSharedRule(rule)) ? [] : [`rule add ${MAIN_FIRST_RULE}`]),
				...rules.map((rule) => `rule add ${rule}`),
			]),
		]),
	];
}

/** What the last container of an uplink, and the last of all, leaves behind. */
function uplinkSteps(spec: ContainerSpec, others: readonly ContainerSpec[]): Step[] {
	const sysctls = [
		...(hasSwitched() && !others.some(({ forward }) => forward === 'stack')
			? [{ what: 'put forwarding back as it was', run: restoreForwarding }]
			: []),
		...(unusedSwitches(others).length
			? [{ what: 'put back what was asked of dead uplinks', run: () => restoreLinkdown(others) }]
			: []),
	];
	if (!others.length) return [...sysctls, detachAllStep(), { what: 'unpin the datapath', run: unload }];
	const unused = (program: string, needs: (other: ContainerSpec) => boolean) =>
		spec.uplinks.flatMap(({ device }) => {
			const used = others.some((other) => needs(other) && other.uplinks.some((uplink) => uplink.device === device));
			const ifindex = findDevice(device);
			return used ? [] : attachments().filter((one) => one.program === program && one.ifindex === ifindex);
		});
	const detached = [
		...unused('ingress_peer', ({ forward }) => forward !== 'stack'),
		...unused('uplink_guard', ({ device, guard }) => isIpvlan(device) && guard),
		...unused('uplink_ingress', ({ device, guard }) => isIpvlan(device) && guard),
	];
	return [...sysctls, ...detached.map(detachStep)];
}

function attachStep(program: ProgramName, place: Parameters<typeof attach>[1]): Step {
	return {
		what: `attach ${program} to ${place.device} (${place.point})`,
		run() {
			ensureLoaded(/^(slave|uplink)_/.test(program) ? 'ipvlan' : 'redirect');
			withProgram(program, (loaded) => attach(loaded, place));
		},
	};
}

function detachAllStep(): Step {
	return {
		what: 'detach all programs',
		run() {
			for (const one of attachments()) detachOne(one);
			removeUnusedQdiscs();
		},
	};
}

function detachStep(one: ReturnType<typeof attachments>[number]): Step {
	return { what: `detach ${one.program} from device ${one.ifindex}`, run: () => detachOne(one) };
}

function ipStep(place: IpPlace | string | null, commands: string[]): Step {
	const { netns, family } = typeof place === 'object' && place !== null ? place : { netns: place, family: undefined };
	const prefix = ['ip', ...(family ? [family] : []), ...(netns === null ? [] : ['-n', netns])].join(' ');
	return {
		what: commands.map((command) => `${prefix} ${command}`).join('\n'),
		run: () => ipBatch(place, commands),
	};
}

/** None where there is nothing to do. */
function stepOf(place: IpPlace, commands: string[]): Step[] {
	return commands.length ? [ipStep(place, commands)] : [];
}

/** An ipvlan slave that is where it was put. In a netns that goes with its container it would go too, but some time later. */
async function hasSlave(spec: ContainerSpec, netns: string): Promise<boolean> {
	if (!isIpvlan(spec.device) || !hasNetns(netns)) return false;
	const links = await ipJson<{ ifname: string; linkinfo?: { info_kind: string } }>(netns, ['-details', 'link']);
	return links.some(({ ifname, linkinfo }) => ifname === INNER && linkinfo?.info_kind === 'ipvlan');
}

function usesRoutes({ forward }: ContainerSpec): boolean {
	return forward === 'stack' || forward === 'fib';
}

/** What of a container's rules is there; and the rule that all share and the tables of uplinks, where nobody else needs them. */
async function routingLeft(spec: ContainerSpec, others: readonly ContainerSpec[]): Promise<Step[]> {
	if (!usesRoutes(spec)) return [];
	const kept = others.filter(usesRoutes);
	const rules = (await hostRules()).filter((rule) =>
		isSharedRule(rule) ? !kept.length : isContainerRule(rule) && (rule.src === spec.ipv6 || rule.src === spec.ipv4),
	);
	const routes = async (family: Family) =>
		(await ipJson<Route>(null, [family, 'route', 'show', 'table', 'all'])).filter(
			({ table, dev }) =>
				isOwnTable(Number(table)) && !kept.some(({ uplinks }) => uplinks.some(({ device }) => device === dev)),
		);
	const steps = FAMILIES.map(async (family) =>
		stepOf({ netns: null, family }, [
			...rules
				.filter((rule) => rule.family === family)
				.map((rule) => `rule del ${isSharedRule(rule) ? MAIN_FIRST_RULE : `pref ${rule.priority} from ${rule.src}`}`),
			...(await routes(family)).map(({ dst, table }) => `route del ${dst} table ${table}`),
		]),
	);
	return (await Promise.all(steps)).flat();
}

function removeCgroupStep({ name }: ContainerSpec, others: readonly ContainerSpec[]): Step {
	const last = !others.some(({ device }) => device === 'none');
	return { what: `rmdir ${containerCgroup(name)}`, run: () => removeCgroup(name, last) };
}

/** Past the stack nobody tells a container that the uplink it failed over to carries less. */
function smallestMtu(uplinks: readonly Uplink[]): number {
	return Math.min(...uplinks.map(({ device }) => Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'))));
}
