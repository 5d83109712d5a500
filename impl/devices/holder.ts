/**
 * ipvlan hands what comes by an uplink to the slave that has its destination, and asks nobody whether it may. But no two slaves of an
 * uplink can have one address, wherever they are (EADDRINUSE since 4.14, 3ad7d2468f79). So the host has a slave too, with the addresses
 * that are nobody else's to have. It is never up: then it holds them, and gets no packet. It is in a netns of its own: in the host's,
 * what looks for the device of an address, such as a multicast sender's, would find this one.
 */
import { type IpvlanDevice, slaveKind } from './ipvlan.ts';

/** No container's: their names have no dots. */
export const HOLDERS = 'pathproof.hold';

/** What one uplink's slave of the host's is to be. */
export interface Holder {
	/** as `holderName` has it */
	name: string;
	uplink: string;
	device: IpvlanDevice;
	/** as the kernel prints them */
	addresses: string[];
}

/** By the uplink's index. No device of the host's: before 6.13 one of that name there is found first (EEXIST). */
export function holderName(ifindex: number): string {
	return `hold.${ifindex}`;
}

/** No tunnel that the kernel gives each netns, such as sit0: nobody can delete those. */
export function isHolder(device: string): boolean {
	return /^hold\.\d+$/.test(device);
}

/** By their names, the addresses that they have. */
export type Held = ReadonlyMap<string, readonly string[]>;

/** Commands for `ip -batch`, in the host's netns and in that of the holders, in this order. */
export interface HolderCommands {
	host: string[];
	inside: string[];
	/** that nobody needs any more */
	netns: string[];
}

/**
 * From what there is to what ought to be; none where that is the same. `held`: null, there is no such netns; `half made`, but a file of
 * its name, which is in the way.
 */
export function holderCommands(wanted: readonly Holder[], held: Held | 'half made' | null): HolderCommands {
	const present: Held = held instanceof Map ? held : new Map();
	return {
		host: [
			...(held === 'half made' ? [`netns del ${HOLDERS}`] : []),
			...(wanted.length && !(held instanceof Map) ? [`netns add ${HOLDERS}`] : []),
			...wanted
				.filter(({ name }) => !present.has(name))
				.map(
					({ name, uplink, device }) =>
						`link add link ${uplink} name ${name} netns ${HOLDERS} type ${slaveKind(device)}`,
				),
		],
		inside: [
			...[...present.keys()]
				.filter((name) => !wanted.some((one) => one.name === name))
				.map((name) => `link del dev ${name}`),
			...wanted.flatMap(({ name, addresses }) => {
				const words = (address: string) =>
					address.includes(':') ? `${address}/128 dev ${name} nodad` : `${address}/32 dev ${name}`;
				const now = present.get(name) ?? [];
				return [
					...now
						.filter((address) => !addresses.includes(address))
						.map((one) => `addr del ${words(one).replace(' nodad', '')}`),
					...addresses.filter((address) => !now.includes(address)).map((one) => `addr add ${words(one)}`),
				];
			}),
		],
		netns: !wanted.length && held instanceof Map ? [`netns del ${HOLDERS}`] : [],
	};
}
