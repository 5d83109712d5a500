/**
 * The network of one container on this host: a netns, a device pair, addresses, routes, and the way its packets take. What is
 * made here lives in the kernel alone: netns, links, and pins below /sys/fs/bpf/pathproof.
 */
import { addressBytes, deviceIndex, findDevice } from './addresses.ts';
import { type DeviceKind, deviceKind } from './devices/device.ts';
import { devicePair, hostCommands, innerCommands } from './devices/wiring.ts';
import { DatapathError } from './errors.ts';
import { type Attachment, attachments, detachOne } from './forward/attach.ts';
import { forgetAddresses, redirectContainer, type Uplink } from './forward/redirect.ts';
import { enableForwarding } from './forward/stack.ts';
import { ipBatch } from './ip/ip.ts';
import { namedNetns } from './netns.ts';

export interface ContainerOptions {
	/** of the netns and of the device's host end: at most 15 characters */
	name: string;
	/** `veth`, `netkit-l2` or `netkit-l3` */
	device: string;
	forward: 'stack' | 'redirect';
	uplink: Uplink;
	/** without a prefix length */
	ipv6: string;
	ipv4: string;
}

/** Answers what was attached. The netns is made here and must not exist. What fails halfway leaves nothing. */
export async function addContainer(options: ContainerOptions): Promise<Attachment[]> {
	const kind = deviceKind(options.device);
	const pair = devicePair(options.name);
	refuse(options);
	try {
		await ipBatch(null, hostCommands(options, kind, pair));
		await ipBatch(options.name, innerCommands(options, kind, pair));
		const attached = forward(options, kind);
		await ipBatch(null, kind.open(pair));
		return attached;
	} catch (error) {
		await undo(options);
		throw error;
	}
}

/** Takes away all that `addContainer` made, but for what other containers use too. Throws where there is no such container. */
export async function removeContainer(container: Pick<ContainerOptions, 'name' | 'ipv6' | 'ipv4'>): Promise<void> {
	deviceIndex(container.name);
	await undo(container);
}

/** What is there already is somebody's: neither used nor, when something fails, taken away. */
function refuse({ name, ipv6, ipv4, uplink }: ContainerOptions): void {
	for (const address of [ipv6, ipv4]) addressBytes(address);
	deviceIndex(uplink.device);
	const taken = namedNetns().includes(name) ? 'netns' : findDevice(name) ? 'device' : null;
	if (!taken) return;
	throw new DatapathError(`there is a ${taken} ${name} already`, {
		hint: taken === 'netns' ? `ip netns del ${name}, or another name` : `ip link del ${name}, or another name`,
	});
}

/** The pair goes with its host end, at once; deleting the netns alone would take it along some time later. */
async function undo({ name, ipv6, ipv4 }: Pick<ContainerOptions, 'name' | 'ipv6' | 'ipv4'>): Promise<void> {
	const ifindex = findDevice(name);
	await ipBatch(null, [
		...(ifindex ? [`link del dev ${name}`] : []),
		...(namedNetns().includes(name) ? [`netns del ${name}`] : []),
	]);
	for (const one of attachments()) if (one.ifindex === ifindex) detachOne(one, true);
	forgetAddresses([ipv6, ipv4]);
}

/** Takes a program from all devices that it is attached to. Throws a DatapathError where it is on none. */
export function detach(program: string): Attachment[] {
	const all = attachments();
	const found = all.filter((one) => one.program === program);
	if (!found.length) {
		const names = [...new Set(all.map((one) => one.program))];
		throw new DatapathError(`no program ${program} is attached`, {
			hint: names.length ? `attached are ${names.join(', ')}` : 'nothing of this datapath is attached',
		});
	}
	for (const one of found) detachOne(one);
	return found;
}

function forward({ name, forward, uplink, ipv6, ipv4 }: ContainerOptions, kind: DeviceKind): Attachment[] {
	switch (forward) {
		case 'stack':
			enableForwarding();
			return [];
		case 'redirect':
			return redirectContainer({ device: name, addresses: [ipv6, ipv4], hook: kind.hook }, uplink);
		default:
			throw new DatapathError(`there is no way "${forward satisfies never}" of forwarding`, {
				hint: 'use stack or redirect',
			});
	}
}
