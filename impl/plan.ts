/** What has to be done on this host to add a container, or to take one away: steps, in the order in which they are safe. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { deviceIndex, findDevice } from './addresses.ts';
import type { ContainerSpec } from './container.ts';
import { type DevicePair, INNER, type PairKind, pairKind } from './devices/device.ts';
import { createSlave, type IpvlanDevice, isIpvlan, moveSlave, slaveCommands } from './devices/ipvlan.ts';
import { CGROUP_ROOT, containerCgroup } from './devices/none.ts';
import { devicePair, hostCommands, innerCommands } from './devices/wiring.ts';
import { DatapathError } from './errors.ts';
import { attach, attachments, detachOne, isGone } from './forward/attach.ts';
import { ensureLoaded, hasTcxLinks, type ProgramName, unload, withProgram } from './forward/datapath.ts';
import {
	containerRules,
	isContainerRule,
	isOwnTable,
	isSharedRule,
	MAIN_FIRST_RULES,
	uplinkRoutes,
} from './forward/routes.ts';
import { enableDeviceForwarding, enableForwarding } from './forward/stack.ts';
import { forget, writeAllowed, writeContainer, writeEndpoints, writeNetns, writeNextHops } from './forward/tables.ts';
import { ipBatch, ipJson } from './ip/ip.ts';
import { namedNetns } from './netns.ts';
import type { Step } from './step.ts';

/** `others`: the containers of this host already. Throws a DatapathError for what cannot be done here. */
export async function planAdd(spec: ContainerSpec, others: readonly ContainerSpec[]): Promise<Step[]> {
	refuse(spec, others);
	if (spec.device === 'none') return [cgroupStep(spec)];
	const netns = spec.netns ?? spec.name;
	const made = spec.netns === null ? [ipStep(null, [`netns add ${netns}`])] : [];
	const pair = pairKind(spec.device);
	if (isIpvlan(spec.device)) return [...made, ...slaveSteps(spec, spec.device, netns, others)];
	return [...made, ...(await pairSteps(spec, pair!, netns))];
}

/** For what is whole, half made or half taken away. `others`: the containers that stay. */
export async function planRemove(spec: ContainerSpec, others: readonly ContainerSpec[]): Promise<Step[]> {
	const netns = spec.netns ?? spec.name;
	if (spec.device === 'none') return [removeCgroupStep(spec, others)];
	const routing = await routingLeft(spec, others);
	return [
		// a pair goes with its host end, at once; deleting the netns alone would take it along some time later
		...(findDevice(spec.name) ? [ipStep(null, [`link del dev ${spec.name}`])] : []),
		...((await hasSlave(spec, netns)) ? [ipStep(netns, [`link del dev ${INNER}`])] : []),
		...(spec.netns === null && namedNetns().includes(netns) ? [ipStep(null, [`netns del ${netns}`])] : []),
		...(routing.length ? [ipStep(null, routing)] : []),
		{ what: `forget ${spec.name} in the maps`, run: () => forget(spec, others) },
		{
			what: `remove the pins of ${spec.name}`,
			run() {
				for (const one of attachments()) if (isGone(one)) detachOne(one, true);
			},
		},
		...uplinkSteps(spec, others),
	];
}

function refuse(spec: ContainerSpec, others: readonly ContainerSpec[]): void {
	for (const { device } of spec.uplinks) deviceIndex(device);
	const taken = [spec.ipv6, spec.ipv4].find(
		(address) => address !== null && others.some((other) => other.ipv6 === address || other.ipv4 === address),
	);
	if (taken) throw new DatapathError(`${taken} is another container's already`, { hint: 'pathproof net ls' });
	if (spec.netns !== null && !namedNetns().includes(spec.netns))
		throw new DatapathError(`there is no netns ${spec.netns}`, {
			hint: `ip netns add ${spec.netns}, or ip netns attach ${spec.netns} PID`,
		});
	if (isIpvlan(spec.device)) {
		const other = others.find(
			({ device, uplinks }) =>
				isIpvlan(device) && device !== spec.device && uplinks[0]!.device === spec.uplinks[0]!.device,
		);
		if (other)
			throw new DatapathError(`the slaves of ${spec.uplinks[0]!.device} are ${other.device}, as ${other.name} is`, {
				hint: `use ${other.device}, or another uplink: all slaves of one have one mode`,
			});
	}
	const what =
		namedNetns().includes(spec.name) && spec.netns === null ? 'netns' : findDevice(spec.name) ? 'device' : null;
	if (what)
		throw new DatapathError(`there is a ${what} ${spec.name} already`, {
			hint:
				what === 'netns' ? `ip netns del ${spec.name}, or another name` : `ip link del ${spec.name}, or another name`,
		});
}

/** Closed until the last step: down, and netkit blackholed too. */
async function pairSteps(spec: ContainerSpec, kind: PairKind, netns: string): Promise<Step[]> {
	const pair = devicePair(spec.name, netns, mtuOf(spec.uplinks[0]!.device));
	return [
		ipStep(null, kind.create(pair)),
		...tableSteps(spec, kind, pair),
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
		{ what: `netnses: whose sockets may send by ${uplink!.device}`, run: () => writeNetns([...others, spec]) },
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

const FROM_CONTAINER = {
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
	const rules = containerRules(spec, deviceIndex);
	const there = rules.length ? await hostRules() : [];
	const shared = rules.length && !there.some(isSharedRule) ? MAIN_FIRST_RULES : [];
	const commands = [...uplinkRoutes(spec, deviceIndex), ...[...shared, ...rules].map((rule) => `rule add ${rule}`)];
	return [
		spec.forward === 'stack'
			? { what: 'switch forwarding on', run: enableForwarding }
			: { what: `switch forwarding on for ${spec.name} alone`, run: () => enableDeviceForwarding(spec.name) },
		...(commands.length ? [ipStep(null, commands)] : []),
	];
}

/** What the last container of an uplink, and the last of all, leaves behind. */
function uplinkSteps(spec: ContainerSpec, others: readonly ContainerSpec[]): Step[] {
	if (!others.length) return [detachAllStep(), { what: 'unpin the datapath', run: unload }];
	const unused = (program: string, needs: (other: ContainerSpec) => boolean) =>
		spec.uplinks.flatMap(({ device }) => {
			const used = others.some((other) => needs(other) && other.uplinks.some((uplink) => uplink.device === device));
			const ifindex = findDevice(device);
			return used ? [] : attachments().filter((one) => one.program === program && one.ifindex === ifindex);
		});
	return [
		...unused('ingress_peer', ({ forward }) => forward !== 'stack'),
		...unused('uplink_guard', ({ device, guard }) => isIpvlan(device) && guard),
		...unused('uplink_ingress', ({ device, guard }) => isIpvlan(device) && guard),
	].map(detachStep);
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
		},
	};
}

function detachStep(one: ReturnType<typeof attachments>[number]): Step {
	return { what: `detach ${one.program} from device ${one.ifindex}`, run: () => detachOne(one) };
}

function ipStep(netns: string | null, commands: string[]): Step {
	return {
		what: commands.map((command) => `ip ${netns === null ? '' : `-n ${netns} `}${command}`).join('\n'),
		run: () => ipBatch(netns, commands),
	};
}

function mtuOf(device: string): number {
	return Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'));
}

function cgroupStep({ name }: ContainerSpec): Step {
	const path = containerCgroup(name);
	return { what: `mkdir -p ${path}`, run: () => void mkdirSync(path, { recursive: true }) };
}

function removeCgroupStep({ name }: ContainerSpec, others: readonly ContainerSpec[]): Step {
	const path = containerCgroup(name);
	return {
		what: `rmdir ${path}`,
		run() {
			removeCgroup(path);
			if (!others.some(({ device }) => device === 'none')) removeCgroup(CGROUP_ROOT);
		},
	};
}

function removeCgroup(path: string): void {
	try {
		rmdirSync(path);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'ENOENT') return;
		if (code !== 'EBUSY') throw error;
		throw new DatapathError(`there are processes in ${path}`, { hint: `echo 1 > ${path}/cgroup.kill`, cause: error });
	}
}

/** An ipvlan slave that is where it was put. In a netns that goes with its container it would go too, but some time later. */
async function hasSlave(spec: ContainerSpec, netns: string): Promise<boolean> {
	if (!isIpvlan(spec.device) || !namedNetns().includes(netns)) return false;
	const links = await ipJson<{ ifname: string; linkinfo?: { info_kind: string } }>(netns, ['-details', 'link']);
	return links.some(({ ifname, linkinfo }) => ifname === INNER && linkinfo?.info_kind === 'ipvlan');
}

interface Rule {
	priority: number;
	src: string;
}

async function hostRules(): Promise<Rule[]> {
	return (await Promise.all(['-6', '-4'].map((family) => ipJson<Rule>(null, [family, 'rule'])))).flat();
}

function usesRoutes({ forward }: ContainerSpec): boolean {
	return forward === 'stack' || forward === 'fib';
}

/** What of a container's rules is there; and of what all share, once nobody else needs it. */
async function routingLeft(spec: ContainerSpec, others: readonly ContainerSpec[]): Promise<string[]> {
	if (!usesRoutes(spec)) return [];
	const rules = await hostRules();
	const own = rules
		.filter((rule) => isContainerRule(rule) && (rule.src === spec.ipv6 || rule.src === spec.ipv4))
		.map(({ priority, src }) => `rule del pref ${priority} from ${src}`);
	const kept = others.filter(usesRoutes);
	const shared = kept.length ? [] : rules.filter(isSharedRule).map(({ src }) => `rule del pref 1000 from ${src}`);
	const routes = (
		await Promise.all(['-6', '-4'].map((family) => ipJson<Route>(null, [family, 'route', 'show', 'table', 'all'])))
	)
		.flatMap((of, index) => of.map((route) => ({ ...route, all: index ? '0.0.0.0/0' : '::/0' })))
		.filter(
			({ table, dev }) =>
				isOwnTable(Number(table)) && !kept.some(({ uplinks }) => uplinks.some(({ device }) => device === dev)),
		)
		.map(({ table, all }) => `route del ${all} table ${table}`);
	return [...own, ...shared, ...routes];
}

interface Route {
	/** absent for the main table */
	table?: string;
	dev?: string;
}
