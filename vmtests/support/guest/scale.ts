/** Many containers in one guest: added through the library in this process, one after the other, and what each of them cost. */
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { addressBytes } from '../../../impl/addresses.ts';
import type { ContainerRequest, Device, Forward } from '../../../impl/container.ts';
import { withMap } from '../../../impl/forward/datapath.ts';
import { ipBatch } from '../../../impl/ip/ip.ts';
import { check } from '../../../impl/libbpf/native.ts';
import { addContainer, removeContainers } from '../../../impl/net.ts';
import { inNetns } from '../../../impl/netns.ts';
import { explained } from './explain.ts';
import { calls, openUdp6, socketAddress } from './sockets.ts';

const PREFIX = '2001:db8:0:4';
const PEER = '2001:db8:0:1::2';
const HOST = '2001:db8:0:1::1';

/** Counted from 1. */
export function nameOf(number: number): string {
	return `c${number}`;
}

function ipv6Of(number: number): string {
	return `${PREFIX}::${number.toString(16)}`;
}

export interface Range {
	first: number;
	last: number;
}

/** What a call took, in nanoseconds. Of the `exact` profile, the time that tasks ran is instructions; a wait is none. */
export interface Cost {
	running: number;
	elapsed: number;
}

/** Of all CPUs, this one's program and all others: the 7th field of a CPU's line. */
function runningTime(): number {
	return readFileSync('/proc/schedstat', 'latin1')
		.split('\n')
		.filter((line) => line.startsWith('cpu'))
		.reduce((sum, line) => sum + Number(line.split(' ')[7]), 0);
}

async function costOf(act: () => Promise<unknown>): Promise<Cost> {
	const [began, ran] = [process.hrtime.bigint(), runningTime()];
	await act();
	return { running: runningTime() - ran, elapsed: Number(process.hrtime.bigint() - began) };
}

/** What each `addContainer` took. */
export function addMany({ first, last }: Range, device: Device, forward: Forward): Promise<Cost[]> {
	return explained(async () => {
		const took: Cost[] = [];
		for (let number = first; number <= last; number++) {
			const request: ContainerRequest = {
				name: nameOf(number),
				device,
				forward,
				uplinks: [{ device: 'eth0', ipv6NextHop: PEER, ipv4NextHop: '192.0.2.2' }],
				ipv6: ipv6Of(number),
				ipv4: `198.18.${number >> 8}.${number & 255}`,
				tenant: `t${number}`,
			};
			took.push(await costOf(() => addContainer(request)));
		}
		return took;
	});
}

/** One after the other, in one call. */
export function removeMany({ first, last }: Range): Promise<Cost> {
	return explained(() =>
		costOf(() => removeContainers(Array.from({ length: last - first + 1 }, (_, index) => nameOf(first + index)))),
	);
}

/** The peer's way to all of them. */
export async function routeMany(): Promise<void> {
	await explained(() =>
		ipBatch('peer', [`route add ${PREFIX}::/64 via ${HOST}`, `route add 198.18.0.0/16 via 192.0.2.1`]),
	);
}

export interface Footprint {
	/** bytes */
	memoryAvailable: number;
	slab: number;
	percpu: number;
	/** what the maps of the datapath are charged with, by name */
	maps: Record<string, number>;
	/** files below /sys/fs/bpf/pathproof */
	pins: number;
	links: number;
	netns: number;
}

/** What the guest's kernel spends now. */
export function footprint(): Footprint {
	const meminfo = readFileSync('/proc/meminfo', 'utf8');
	const kib = (name: string) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
	return {
		memoryAvailable: kib('MemAvailable'),
		slab: kib('Slab'),
		percpu: kib('Percpu'),
		maps: Object.fromEntries(
			(['containers', 'endpoints', 'allowed', 'drops', 'records'] as const).map((name) => [
				name,
				withMap(name, ({ fd }) =>
					Number(/^memlock:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]),
				),
			]),
		),
		pins: readdirSync('/sys/fs/bpf/pathproof', { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
			.length,
		links: readdirSync('/sys/class/net').length,
		netns: readdirSync('/run/netns').length,
	};
}

const PORT = 7777;

/** Numbers of the containers whose datagram came to the peer, and whose answer came back. */
export function reachPeer({ first, last }: Range): Promise<{ there: number[]; back: number[] }> {
	return explained(() => {
		const open = (netns: string) => inNetns(netns, openUdp6);
		const peer = open('peer');
		const senders = new Map<number, number>();
		try {
			check(calls.bind(peer, socketAddress('::', PORT), 28), 'bind');
			const to = socketAddress(PEER, PORT);
			const data = Buffer.alloc(16);
			const from = Buffer.alloc(28);
			const there: number[] = [];
			const back: number[] = [];
			for (let number = first; number <= last; number++) {
				const own = open(nameOf(number));
				senders.set(number, own);
				data.writeUInt32LE(number);
				if (calls.sendto(own, data, data.length, 0, to, 28) < 0) continue;
				// all of it happens in this thread's system call, or in the softirq behind it
				for (let tries = 0; tries < 1000; tries++) {
					if (calls.recvfrom(peer, data, data.length, 0, from, [28]) < 0) continue;
					const said = data.readUInt32LE(0);
					if (from.subarray(8, 24).equals(addressBytes(ipv6Of(said)))) there.push(said);
					calls.sendto(peer, data, data.length, 0, from, 28);
					break;
				}
				for (let tries = 0; tries < 1000; tries++) {
					if (calls.recvfrom(own, data, data.length, 0, null, null) < 0) continue;
					back.push(data.readUInt32LE(0));
					break;
				}
			}
			return { there, back };
		} finally {
			for (const fd of [peer, ...senders.values()]) closeSync(fd);
		}
	});
}
