/** The addresses that no owner of an ipvlan container may take: held as devices/holder.ts says, and following what the host has. */
import { deviceIndex, findDevice, isUp, linkLocalAddresses, ownAddresses } from '../addresses.ts';
import { type ContainerSpec, canonical } from '../container.ts';
import {
	type Held,
	HOLDERS,
	type Holder,
	type HolderCommands,
	holderCommands,
	holderName,
	isHolder,
} from '../devices/holder.ts';
import { isIpvlan } from '../devices/ipvlan.ts';
import { DatapathError } from '../errors.ts';
import { addressesOf } from '../forward/tables.ts';
import { type Failure, ipBatch, ipEach, ipJson } from '../ip/ip.ts';
import { hasNetns, isHalfNetns } from '../netns.ts';
import type { Link } from '../state/host.ts';
import { type Others, readRecords } from '../state/records.ts';
import type { Step } from '../step.ts';

/** Of a container that comes or goes: none where it cannot change what is held. `others`: the containers that stay. */
export async function holderSteps(spec: ContainerSpec, others: Others, comesOrGoes: 'comes' | 'goes'): Promise<Step[]> {
	const { device, guard, forward, identity } = spec;
	// an identity's addresses are the host's
	const concerned = (isIpvlan(device) && guard) || ((forward === 'stack' || identity) && hasNetns(HOLDERS));
	if (!concerned) return [];
	const own = ownAddresses().map(canonical);
	const its = identity ? addressesOf(spec) : [];
	const words = typed(
		comesOrGoes === 'comes'
			? await changes([...others(), spec], [...own, ...its])
			: await changes(
					[...others()],
					own.filter((address) => !its.includes(address)),
				),
	);
	return [{ ...HOLD, what: words.length ? words.join('\n') : `${HOLD.what}: they are already` }];
}

const HOLD: Step = {
	what: "keep this host's addresses from the slaves of its uplinks",
	// what one owner has taken keeps no other container from coming or going: `net check` tells of it
	run: async () => void (await hold(await changesNow())),
};

/** What ought to be held and is not, or the other way round; null: nothing. */
export async function holderBehind(): Promise<{ found: string; step: Step } | null> {
	const words = typed(await changesNow());
	return words.length ? { found: `to be done: ${words.join('; ')}`, step: { ...HOLD, run: holdAll } } : null;
}

function typed({ host, inside, netns }: HolderCommands): string[] {
	return [
		...host.map((command) => `ip ${command}`),
		...inside.map((command) => `ip -n ${HOLDERS} ${command}`),
		...netns.map((command) => `ip ${command}`),
	];
}

/** By the records: of this host's containers those that are not on their way out. */
function changesNow(): Promise<HolderCommands> {
	const specs = readRecords().flatMap(({ state, spec }) => (state === 'removing' ? [] : [spec]));
	return changes(specs, ownAddresses().map(canonical));
}

/** `own`: the addresses of this host. */
async function changes(specs: readonly ContainerSpec[], own: readonly string[]): Promise<HolderCommands> {
	const slaves = specs.filter(({ device, guard }) => isIpvlan(device) && guard);
	const there = hasNetns(HOLDERS) ? await heldNow() : null;
	// one that is down has no IPv6 addresses, and is given them again when it is up
	const uplinks = [...new Set(slaves.map(({ uplinks: [first] }) => first!.device))].filter(
		(uplink) => findDevice(uplink) !== null,
	);
	const wanted = uplinks.map((uplink): Holder => {
		const { device } = slaves.find(({ uplinks: [first] }) => first!.device === uplink)!;
		const name = holderName(deviceIndex(uplink));
		const lost = isUp(uplink) ? [] : (there?.get(name) ?? []);
		const addresses = [...new Set([...own, ...addressesAt(uplink, specs), ...lost])];
		return { name, uplink, device: device as Holder['device'], addresses };
	});
	return holderCommands(wanted, there ?? (isHalfNetns(HOLDERS) ? 'half made' : null));
}

/** Beside the host's own, those of containers that its stack forwards to: of all others a program takes the packets before ipvlan does. */
function addressesAt(uplink: string, specs: readonly ContainerSpec[]): string[] {
	const forwarded = specs.filter(
		({ forward, uplinks }) => forward === 'stack' && uplinks.some(({ device }) => device === uplink),
	);
	return [...linkLocalAddresses(uplink), ...forwarded.flatMap(addressesOf)].map(canonical);
}

async function heldNow(): Promise<Held> {
	const links = await ipJson<Link>(HOLDERS, ['address']);
	return new Map(
		links
			.filter(({ ifname }) => isHolder(ifname))
			.map(({ ifname, addr_info }) => [ifname, addr_info.map(({ local }) => local)]),
	);
}

/** Answers what could not be held, since a slave has it. */
async function hold({ host, inside, netns }: HolderCommands): Promise<Failure[]> {
	await ipBatch(null, host);
	const failed = await ipEach(HOLDERS, inside);
	const other = failed.find(({ said }) => !/in use|already assigned/.test(said));
	if (other) throw new DatapathError(`ip -n ${HOLDERS} ${other.command} failed`, { log: other.said });
	await ipBatch(null, netns);
	return failed;
}

async function holdAll(): Promise<void> {
	const failed = await hold(await changesNow());
	if (!failed.length) return;
	throw new DatapathError('an ipvlan container has an address that it was not given', {
		log: failed.map(({ command, said }) => `${command}: ${said}`).join('\n'),
		hint: 'ip -n NAME address, of each ipvlan container; then pathproof net rm NAME',
	});
}
