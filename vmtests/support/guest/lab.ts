/**
 * A lab: host, peer and containers, wired and addressed.
 *
 *   web (container)          host (the guest's initial netns)              peer
 *   eth0 ──────────────── web                      eth0 ────── wire ────── eth0
 *   2001:db8:0:2::10                    2001:db8:0:1::1                    2001:db8:0:1::2
 *   198.51.100.10                             192.0.2.1                    192.0.2.2
 *
 *   api, where the lab has it                      eth1 ──── 2nd wire ──── eth1
 *   2001:db8:0:2::11                    2001:db8:0:3::1                    2001:db8:0:3::2
 *   198.51.100.11                           203.0.113.1                    203.0.113.2
 *                                                      on the peer's lo:   2001:db8:0:f::1, 198.18.0.1
 *
 * The peer reaches containers by the host. Neighbours are set by hand: the first packet of a test is like every other.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { deviceName } from '../../../impl/addresses.ts';
import type { ContainerRequest, Uplink } from '../../../impl/container.ts';
import { INNER } from '../../../impl/devices/device.ts';
import type { Attachment } from '../../../impl/forward/attach.ts';
import { type DropPlace, dropRows, slaveOf } from '../../../impl/forward/tables.ts';
import { ipBatch } from '../../../impl/ip/ip.ts';
import { addContainer, detach, removeContainer } from '../../../impl/net.ts';
import { readRecords } from '../../../impl/state/records.ts';
import { WIRES as NICS } from '../../../kernels/wire.ts';
import type { ContainerName, DropCount, LabContainer, LabNode, LabOptions, LabState, Wire } from '../types.ts';
import { explained } from './explain.ts';
import { installLauncher } from './launcher.ts';
import { attachTracer, loadTracer } from './tracer.ts';

const HOST: LabNode = { name: 'host', netns: null, ipv6: '2001:db8:0:1::1', ipv4: '192.0.2.1' };
const PEER: LabNode = { name: 'peer', netns: 'peer', ipv6: '2001:db8:0:1::2', ipv4: '192.0.2.2' };
const CONTAINERS: Record<ContainerName, LabNode> = {
	web: { name: 'web', netns: 'web', ipv6: '2001:db8:0:2::10', ipv4: '198.51.100.10' },
	api: { name: 'api', netns: 'api', ipv6: '2001:db8:0:2::11', ipv4: '198.51.100.11' },
};
/** On the peer's `lo` where there are two wires: reached by either. */
const BEYOND = { ipv6: '2001:db8:0:f::1', ipv4: '198.18.0.1' } as const;

/** Both ends of each wire, by the uplink's name. */
const ENDS = [
	{ device: 'eth0', mac: NICS[0], host: HOST, peer: PEER },
	{
		device: 'eth1',
		mac: NICS[1],
		host: { ipv6: '2001:db8:0:3::1', ipv4: '203.0.113.1' },
		peer: { ipv6: '2001:db8:0:3::2', ipv4: '203.0.113.2' },
	},
] as const;
type Ends = (typeof ENDS)[number];

/** By wire: what makes both of its ends. A netkit wire has Ethernet too: an uplink that has none is another device altogether. */
const WIRES: Record<Wire, (ends: readonly Ends[]) => string[]> = {
	veth: (ends) =>
		ends.map(
			({ device, mac }) =>
				`link add name ${device} address ${mac.host} type veth peer name ${device} address ${mac.peer} netns peer`,
		),
	netkit: (ends) =>
		ends.map(
			({ device, mac }) =>
				`link add name ${device} address ${mac.host} type netkit mode l2 peer name ${device} address ${mac.peer} netns peer`,
		),
	// there already, under the names that the kernel gave them
	virtio: (ends) => [
		...ends.map(({ device, mac }) => `link set dev ${nic(mac.peer)} netns peer name ${device}`),
		...ends.map(({ device, mac }) => `link set dev ${nic(mac.host)} name wire-${device}`),
		...ends.map(({ device }) => `link set dev wire-${device} name ${device}`),
	],
};

function nic(mac: string): string {
	const found = readdirSync('/sys/class/net').find(
		(name) => readFileSync(`/sys/class/net/${name}/address`, 'utf8').trim() === mac,
	);
	if (found) return found;
	throw new Error(`no NIC has the address ${mac}: the guest was not asked with NICs`);
}

/** What a link listens to it tells twice, each time within a second (RFC 3810, 9.11): no packet of a test's. */
const LISTENERS_TOLD_MS = 2_200;

/** What every lab begins with, whatever its devices. Throws a PathproofError (`call`). */
export function prepareLab(): Promise<void> {
	return explained(() => loadTracer());
}

/** Builds it in this guest, which must have none yet, and attaches the tracer. Throws a PathproofError (`call`). */
export function buildLab(options: LabOptions): Promise<LabState> {
	return explained(() => build(options));
}

/** Takes one of the datapath's programs, or a stranger's, from its devices. */
export async function detachProgram(name: string): Promise<void> {
	await explained(() => detach(name));
}

/** What the datapath's programs have dropped so far, and where: `host:web`, `web:eth0`. */
export function dropCounts(): DropCount[] {
	return dropRows().map(({ reason, count, ...place }) => ({ at: placeOf(place), reason, count }));
}

/** Programs stand on devices of the host, and on slaves in the netns of their containers. */
function placeOf({ ifindex, slave }: DropPlace): string {
	if (!slave) return `host:${deviceName(ifindex) ?? `device ${ifindex}`}`;
	const owner = readRecords().find(({ spec }) => {
		const own = slaveOf(spec);
		return own?.uplink === ifindex && own.id === slave;
	});
	return owner ? `${owner.spec.netns ?? owner.spec.name}:${INNER}` : `slave ${slave} of device ${ifindex}`;
}

async function build(options: LabOptions): Promise<LabState> {
	const whole = { wire: 'veth', ...options } as const;
	installLauncher();
	const ends = wires(options);
	await ipBatch(null, hostCommands(whole.wire, ends));
	await ipBatch(PEER.netns, peerCommands(options, ends));
	const nodes: Partial<Record<ContainerName, LabNode>> = {};
	const programs = new Map<string, LabState['programs'][number]>();
	for (const name of Object.keys(containersOf(options)) as ContainerName[]) {
		nodes[name] = await wireContainer(name, options, programs);
	}
	const state: LabState = {
		options: whole,
		web: nodes.web ?? CONTAINERS.web,
		api: nodes.api ?? null,
		host: HOST,
		peer: PEER,
		programs: [...programs.values()],
	};
	if (options.tracer ?? true) attachTracer({ ringBytes: options.ringBytes });
	await sleep(LISTENERS_TOLD_MS);
	return state;
}

/** The container anew, with the programs as they lie in the guest now: for tests that change them. */
export async function rewireContainer(options: LabOptions): Promise<void> {
	await explained(async () => {
		await removeContainer('web');
		await wireContainer('web', options, new Map());
	});
}

/** Answers where it is, and adds the programs that are in its way. */
async function wireContainer(
	name: ContainerName,
	options: LabOptions,
	programs: Map<string, LabState['programs'][number]>,
): Promise<LabNode> {
	const request = containerRequest(name, options);
	const pid = options.userns ? await makeTenant(name) : undefined;
	const attached = await addContainer({ ...request, netns: pid === undefined ? null : name });
	for (const one of attached) programs.set(one.pin, { ...placed(one, name), pin: one.pin });
	if (request.device === 'none') return { ...HOST, name };
	// the one device whose container finds the next hop by itself
	if (request.device === 'ipvlan-l2') {
		const { mac, peer } = endsOf(request.uplinks![0]!.device);
		await ipBatch(name, neighbours('eth0', peer, mac.peer));
	}
	return { ...CONTAINERS[name], ...(pid !== undefined && { pid }) };
}

function placed({ program, kind }: Attachment, container: string): Omit<LabState['programs'][number], 'pin'> {
	const uplink = program === 'ingress_peer' || program.startsWith('uplink_');
	return { name: program, attach: kind, device: uplink ? 'eth0' : container, netns: 'host' };
}

function containersOf({ containers }: LabOptions): Partial<Record<ContainerName, LabContainer>> {
	return containers ?? { web: {} };
}

function wires(options: LabOptions): Ends[] {
	const used = Object.values(containersOf(options)).flatMap(({ uplinks = ['eth0'] }) => uplinks);
	return ENDS.filter(({ device }) => device === 'eth0' || used.includes(device));
}

function containerRequest(name: ContainerName, options: LabOptions): ContainerRequest {
	const { tenant = 'lab', allow = [], uplinks = ['eth0'], ...own } = containersOf(options)[name] ?? {};
	return {
		name,
		device: own.device ?? options.device,
		forward: own.forward ?? options.forward,
		ipv6: CONTAINERS[name].ipv6,
		ipv4: CONTAINERS[name].ipv4,
		uplinks: uplinks.map(uplink),
		tenant,
		allow,
		...(options.guard !== undefined && { guard: options.guard }),
	};
}

function endsOf(device: string): Ends {
	return ENDS.find((ends) => ends.device === device)!;
}

function uplink(device: string): Uplink {
	const { peer } = endsOf(device);
	return { device, ipv6NextHop: peer.ipv6, ipv4NextHop: peer.ipv4 };
}

/** A netns that belongs to a user namespace of its own, held by a process that does nothing. Answers its pid. */
export async function makeTenant(name: string): Promise<number> {
	const own = readlinkSync('/proc/self/ns/net');
	const [id, ...argv] = ['100000', 'unshare', '--user', '--map-root-user', '--net', 'sleep', 'infinity'];
	// not root's own id: to the host's files it would still be root
	const holder = spawn('setpriv', ['--reuid', id!, '--regid', id!, '--clear-groups', ...argv], {
		stdio: 'ignore',
		detached: true,
	});
	await once(holder, 'spawn');
	holder.unref();
	const pid = holder.pid!;
	// unshare has made them when it is `sleep` that runs
	for (let tries = 0; readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'sleep'; tries++) {
		if (tries === 500) throw new Error('unshare makes no user namespace in ten seconds');
		await sleep(20);
	}
	if (readlinkSync(`/proc/${pid}/ns/net`) === own) throw new Error('unshare made no netns');
	await ipBatch(null, [`netns attach ${name} ${pid}`]);
	return pid;
}

function hostCommands(wire: Wire, ends: readonly Ends[]): string[] {
	return [
		`netns add ${PEER.netns}`,
		...WIRES[wire](ends),
		'link set dev lo up',
		...ends.flatMap(({ device, mac, host, peer }) => [
			`link set dev ${device} addrgenmode none up`,
			`addr add ${host.ipv6}/64 dev ${device} nodad`,
			`addr add ${host.ipv4}/24 dev ${device}`,
			...neighbours(device, peer, mac.peer),
		]),
	];
}

function peerCommands(options: LabOptions, ends: readonly Ends[]): string[] {
	const routes = Object.entries(containersOf(options)).flatMap(([name, { uplinks = ['eth0'] }]) => {
		const { host } = endsOf(uplinks[0]!);
		const { ipv6, ipv4 } = CONTAINERS[name as ContainerName];
		return [`route add ${ipv6}/128 via ${host.ipv6}`, `route add ${ipv4}/32 via ${host.ipv4}`];
	});
	return [
		'link set dev lo up',
		...ends.flatMap(({ device, mac, host, peer }) => [
			`link set dev ${device} addrgenmode none up`,
			`addr add ${peer.ipv6}/64 dev ${device} nodad`,
			`addr add ${peer.ipv4}/24 dev ${device}`,
			...neighbours(device, host, mac.host),
		]),
		...(ends.length > 1 ? [`addr add ${BEYOND.ipv6}/128 dev lo`, `addr add ${BEYOND.ipv4}/32 dev lo`] : []),
		...routes,
	];
}

function neighbours(device: string, { ipv6, ipv4 }: Pick<LabNode, 'ipv6' | 'ipv4'>, mac: string): string[] {
	return [ipv6, ipv4].map((address) => `neigh add ${address} lladdr ${mac} dev ${device} nud permanent`);
}
