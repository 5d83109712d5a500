/**
 * A lab: host, peer and container, wired and addressed.
 *
 *   web (container)          host (the guest's initial netns)              peer
 *   eth0 ──────────────── web                      eth0 ────── wire ────── eth0
 *   2001:db8:0:2::10                    2001:db8:0:1::1                    2001:db8:0:1::2
 *   198.51.100.10                             192.0.2.1                    192.0.2.2
 *
 * The peer reaches containers by the host. Neighbours are set by hand: the first packet of a test is like every other.
 */
import { DatapathError } from '../../../impl/errors.ts';
import { ipBatch } from '../../../impl/ip/ip.ts';
import { addContainer, type ContainerOptions, detach, removeContainer } from '../../../impl/net.ts';
import type { LabNode, LabOptions, LabState, Wire } from '../types.ts';
import { explained } from './explain.ts';
import { attachTracer } from './tracer.ts';

const HOST: LabNode = { name: 'host', netns: null, ipv6: '2001:db8:0:1::1', ipv4: '192.0.2.1' };
const PEER: LabNode = { name: 'peer', netns: 'peer', ipv6: '2001:db8:0:1::2', ipv4: '192.0.2.2' };
const WEB: LabNode = { name: 'web', netns: 'web', ipv6: '2001:db8:0:2::10', ipv4: '198.51.100.10' };
/** Where containers live, beyond the host. */
const CONTAINERS = { ipv6: '2001:db8:0:2::/64', ipv4: '198.51.100.0/24' } as const;
const MAC = { host: '02:00:5e:00:53:01', peer: '02:00:5e:00:53:02' } as const;

/** By wire: what makes both of its ends. A netkit wire has Ethernet too: an uplink that has none is another device altogether. */
const WIRES: Record<Wire, string> = {
	veth: `link add name eth0 address ${MAC.host} type veth peer name eth0 address ${MAC.peer} netns peer`,
	netkit: `link add name eth0 address ${MAC.host} type netkit mode l2 peer name eth0 address ${MAC.peer} netns peer`,
};

/** Builds it in this guest, which must have none yet, and attaches the tracer. Throws a PathproofError (`call`). */
export function buildLab(options: LabOptions): Promise<LabState> {
	return explained(() => build(options));
}

/** Takes one of the datapath's programs, or a stranger's, from its devices. */
export async function detachProgram(name: string): Promise<void> {
	await explained(() => detach(name));
}

async function build(options: LabOptions): Promise<LabState> {
	const whole = { wire: 'veth', ...options } as const;
	await ipBatch(null, hostCommands(whole.wire));
	const [programs] = await Promise.all([
		whole.device === 'none' ? [] : wireContainer(whole),
		ipBatch(PEER.netns, peerCommands()),
	]);
	const state: LabState = {
		options: whole,
		web: whole.device === 'none' ? { ...HOST, name: 'web' } : WEB,
		host: HOST,
		peer: PEER,
		programs,
	};
	if (options.tracer ?? true) attachTracer({ ringBytes: options.ringBytes });
	return state;
}

/** The container anew, with the programs as they lie in the guest now: for tests that change them. */
export async function rewireContainer(options: LabOptions): Promise<void> {
	await explained(async () => {
		await removeContainer(WEB);
		await wireContainer(options);
	});
}

async function wireContainer({ device, forward }: LabOptions): Promise<LabState['programs']> {
	if (forward !== 'stack' && forward !== 'redirect') {
		throw new DatapathError(`${device} cannot be built with forward ${forward}`, { hint: 'use stack or redirect' });
	}
	const options: ContainerOptions = {
		name: WEB.name,
		device,
		forward,
		ipv6: WEB.ipv6,
		ipv4: WEB.ipv4,
		uplink: { device: 'eth0', ipv6NextHop: PEER.ipv6, ipv4NextHop: PEER.ipv4 },
	};
	const attached = await addContainer(options);
	return attached.map(({ program, kind, pin }) => ({
		name: program,
		attach: kind,
		device: program === 'ingress_peer' ? 'eth0' : WEB.name,
		netns: 'host',
		pin,
	}));
}

function hostCommands(wire: Wire): string[] {
	return [
		`netns add ${PEER.netns}`,
		WIRES[wire],
		'link set dev lo up',
		'link set dev eth0 addrgenmode none up',
		`addr add ${HOST.ipv6}/64 dev eth0 nodad`,
		`addr add ${HOST.ipv4}/24 dev eth0`,
		...neighbours(PEER, MAC.peer),
	];
}

function peerCommands(): string[] {
	return [
		'link set dev lo up',
		'link set dev eth0 addrgenmode none up',
		`addr add ${PEER.ipv6}/64 dev eth0 nodad`,
		`addr add ${PEER.ipv4}/24 dev eth0`,
		...neighbours(HOST, MAC.host),
		`route add ${CONTAINERS.ipv6} via ${HOST.ipv6}`,
		`route add ${CONTAINERS.ipv4} via ${HOST.ipv4}`,
	];
}

function neighbours({ ipv6, ipv4 }: LabNode, mac: string): string[] {
	return [ipv6, ipv4].map((address) => `neigh add ${address} lladdr ${mac} dev eth0 nud permanent`);
}
