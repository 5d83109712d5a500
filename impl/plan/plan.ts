/** What has to be done on this host to add a container, or to take one away: steps, in the order in which they are safe. */
import { findDevice, ownAddresses } from '../addresses.ts';
import { type ContainerSpec, canonical, netnsOf } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import { isIpvlan } from '../devices/ipvlan.ts';
import { containerCgroup, makeCgroup, removeCgroup } from '../devices/none.ts';
import { attachments, detachAll, detachOne, isGone, isOfHost } from '../forward/attach.ts';
import { unload } from '../forward/datapath.ts';
import { restoreLinkdown, unusedSwitches } from '../forward/linkdown.ts';
import { hasSwitched, restoreForwarding } from '../forward/stack.ts';
import { addressesOf, forget, forgetDrops, markOf } from '../forward/tables.ts';
import { planIdentity, planIdentityRemoval } from '../identity/plan.ts';
import { addNetns, hasNetns, isHalfNetns } from '../netns.ts';
import type { Others } from '../state/records.ts';
import type { Step } from '../step.ts';
import { tlsRemovalSteps } from '../tls/plan.ts';
import { holderSteps } from './holder.ts';
import { halfMadeSteps, unpinStep, unusedObjects } from './objects.ts';
import { pairSteps } from './pair.ts';
import { refuse, refuseTaken } from './refuse.ts';
import { removeRouteSteps } from './routes.ts';
import { isGuardedSlave, removeSlaveSteps, slaveSteps } from './slave.ts';
import { ipStep } from './steps.ts';

/**
 * `others`: the containers of this host already. `begun`: what an interrupted call left under this name, whatever that was to be, and
 * what is gone by then; null: nothing. Throws a DatapathError for what cannot be done here.
 */
export async function planAdd(spec: ContainerSpec, others: Others, begun: ContainerSpec | null): Promise<Step[]> {
	const hosts = begun?.identity ? addressesWithout(begun) : ownAddresses();
	refuse(spec, others, hosts);
	await refuseTaken(spec, begun);
	if (spec.identity) return [...planIdentity(spec, others), ...(await holderSteps(spec, others, 'comes'))];
	if (spec.device === 'none')
		return [{ what: `mkdir -p ${containerCgroup(spec.name)}`, run: () => makeCgroup(spec.name) }];
	const netns = netnsOf(spec);
	// one that an interrupted call began goes with what is undone
	const make = begun && begun.device !== 'none' ? [`netns add ${netns}`] : addNetns(netns);
	const made = spec.netns === null ? [ipStep(null, make)] : [];
	const there = { netns, hosts, others, begun };
	const steps = isIpvlan(spec.device)
		? slaveSteps(spec, spec.device, there)
		: pairSteps(spec, pairKind(spec.device)!, there);
	return [...(await holderSteps(spec, others, 'comes')), ...made, ...(await steps)];
}

/** Of this host, once an identity is undone: until then its own are among them. */
function addressesWithout(identity: ContainerSpec): string[] {
	const leaving = addressesOf(identity);
	return ownAddresses().filter((address) => !leaving.includes(canonical(address)));
}

/** For what is whole, half made or half taken away. `others`: the containers that stay. */
export async function planRemove(spec: ContainerSpec, others: Others): Promise<Step[]> {
	const netns = netnsOf(spec);
	if (spec.identity)
		return [
			...(await planIdentityRemoval(spec, others)),
			...(await holderSteps(spec, others, 'goes')),
			...sharedSteps(spec, others),
		];
	if (spec.device === 'none')
		return [
			{ what: `rmdir ${containerCgroup(spec.name)}`, run: () => removeCgroup(spec.name) },
			...sharedSteps(spec, others),
		];
	const routing = await removeRouteSteps(spec, others);
	const mark = markOf(spec);
	return [
		// a pair goes with its host end, at once; deleting the netns alone would take it along some time later
		...(mark.hostEnd === null ? [] : [ipStep(null, [`link del dev ${spec.name}`])]),
		...(await removeSlaveSteps(spec, netns)),
		...(await tlsRemovalSteps(spec, null, others)),
		...(spec.netns === null && (hasNetns(netns) || isHalfNetns(netns)) ? [ipStep(null, [`netns del ${netns}`])] : []),
		...routing,
		...(await holderSteps(spec, others, 'goes')),
		{ what: `forget ${spec.name} in the maps`, run: () => forget(spec, mark, others) },
		{
			what: `remove the pins of ${spec.name}`,
			run() {
				// of an ipvlan slave nobody remembers the index
				const gone = mark.hostEnd === null ? attachments().filter(isGone) : attachments(mark.hostEnd);
				for (const one of gone) detachOne(one, true);
				// one whose row in `containers` was lost
				if (mark.hostEnd !== null) forgetDrops({ ifindex: mark.hostEnd, slave: 0 });
			},
		},
		...sharedSteps(spec, others),
	];
}

/** What the last container of an uplink, and the last of all, leaves behind. */
function sharedSteps(spec: ContainerSpec, others: Others): Step[] {
	const sysctls = [
		...(hasSwitched() && !others().some(({ forward }) => forward === 'stack')
			? [{ what: 'put forwarding back as it was', run: restoreForwarding }]
			: []),
		...(unusedSwitches(others()).length
			? [{ what: 'put back what was asked of dead uplinks', run: () => restoreLinkdown(others()) }]
			: []),
	];
	if (!others().some(() => true))
		return [...sysctls, { what: 'detach all programs', run: detachAll }, { what: 'unpin the datapath', run: unload }];
	const unused = [...spec.uplinks.flatMap(({ device }) => unusedAttachments(device, others)), ...unusedOfHost(others)];
	return [...sysctls, ...unused.map(detachStep), ...halfMadeSteps(), ...unusedObjects(others).map(unpinStep)];
}

/** By the program on an uplink, whose it is. */
const ON_UPLINK: Record<string, (container: ContainerSpec) => boolean> = {
	ingress_peer: ({ forward }) => forward !== 'stack',
	uplink_guard: isGuardedSlave,
	uplink_ingress: isGuardedSlave,
};

function unusedOfHost(others: Others): ReturnType<typeof attachments> {
	const there = attachments(0);
	return there.length && !others().some(isGuardedSlave) ? there : [];
}

function unusedAttachments(uplink: string, others: Others): ReturnType<typeof attachments> {
	const ifindex = findDevice(uplink);
	if (ifindex === null) return [];
	return attachments(ifindex).filter(({ program }) => {
		const needs = ON_UPLINK[program];
		return needs && !others().some((other) => needs(other) && other.uplinks.some(({ device }) => device === uplink));
	});
}

function detachStep(one: ReturnType<typeof attachments>[number]): Step {
	const where = isOfHost(one.kind) ? 'this host' : `device ${one.ifindex}`;
	return { what: `detach ${one.program} from ${where}`, run: () => detachOne(one) };
}
