/** A container on an ipvlan slave: made where the host's links can be put on it, then moved; they move along. */
import { basename, dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { ContainerSpec } from '../container.ts';
import { INNER } from '../devices/device.ts';
import { createSlave, type IpvlanDevice, isIpvlan, moveSlave, slaveCommands } from '../devices/ipvlan.ts';
import { DatapathError } from '../errors.ts';
import { type Attachment, attachments, type HostKind, isGone } from '../forward/attach.ts';
import { hasTcxLinks, type ProgramName } from '../forward/datapath.ts';
import { writeAllowed, writeEndpoints } from '../forward/tables.ts';
import { findAttached, type Whereabouts } from '../forward/whereabouts.ts';
import { ipJson, runIp } from '../ip/ip.ts';
import { hasNetns, NETNS_DIR } from '../netns.ts';
import type { Others } from '../state/records.ts';
import type { Step } from '../step.ts';
import { routeSteps } from './routes.ts';
import { attachStep, hostStep, ipStep } from './steps.ts';

export function isGuardedSlave({ device, guard }: ContainerSpec): boolean {
	return isIpvlan(device) && guard;
}

/** `hosts`: the addresses of this host. `others` and `begun`: as of planAdd. */
export async function slaveSteps(
	spec: ContainerSpec,
	device: IpvlanDevice,
	{
		netns,
		hosts,
		others,
		begun,
	}: { netns: string; hosts: readonly string[]; others: Others; begun: ContainerSpec | null },
): Promise<Step[]> {
	const [uplink] = spec.uplinks;
	const guards: Step[] = [
		attachStep('slave_guard', { device: spec.name, hook: 'tc', point: 'slave-egress' }),
		attachStep('slave_ingress', { device: spec.name, hook: 'tc', point: 'slave-ingress' }),
		...HOST_PROGRAMS.map(([program, kind]) => hostStep(program, kind)),
		attachStep('uplink_guard', { device: uplink!.device, hook: 'tc', point: 'to-wire', first: true }),
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
				writeEndpoints(spec, hosts);
				writeAllowed(spec);
			},
		},
		...(spec.guard ? guards : []),
		...(await routeSteps(spec, others, begun)),
		ipStep(null, [moveSlave(spec.name, netns)]),
		ipStep(netns, slaveCommands(spec, device)),
	];
}

/** Of the host once, while it has ipvlan containers: from where it is known which of them sends. */
export const HOST_PROGRAMS: readonly (readonly [ProgramName, HostKind])[] = [
	['ipvlan_takes', 'tracing'],
	['ipvlan_has_sent', 'tracing'],
	['forget_dropped', 'tracing'],
	['output_guard', 'output6'],
	['output_guard', 'output4'],
];

/**
 * Wherever its owner has moved it: what nobody guards any more would send as whom it likes. Without a guard, one that is where it was
 * put; in a netns that goes with its container it would go too, but some time later. Throws a DatapathError where it is guarded, and is
 * in a netns that is not found.
 */
export async function removeSlaveSteps(spec: ContainerSpec, netns: string): Promise<Step[]> {
	if (!isIpvlan(spec.device)) return [];
	const guard = attachments().find(
		(one) => one.program === 'slave_guard' && one.container === spec.name && !isGone(one),
	);
	if (guard) {
		const there = await findGuarded(spec, guard);
		return there ? [{ what: deletion(there), run: () => removeGuarded(spec, guard) }] : [];
	}
	return [
		// of a call that was killed before it moved it
		...((await isSlave(null, spec.name)) ? [ipStep(null, [`link del dev ${spec.name}`])] : []),
		...(hasNetns(netns) && (await isSlave(netns, INNER)) ? [ipStep(netns, [`link del dev ${INNER}`])] : []),
	];
}

async function isSlave(netns: string | null, name: string): Promise<boolean> {
	const links = await ipJson<{ ifname: string; linkinfo?: { info_kind: string } }>(netns, ['-details', 'link']);
	return links.some(({ ifname, linkinfo }) => ifname === name && linkinfo?.info_kind === 'ipvlan');
}

function deletion({ netns, device }: Whereabouts): string {
	const ip = dirname(netns) === NETNS_DIR ? `ip -n ${basename(netns)}` : `nsenter --net=${netns} ip`;
	return `${ip} link del dev ${device}`;
}

/** A netns that nobody is in any more is gone, with its devices, some time later. */
const GONE_WITHIN = { tries: 50, milliseconds: 100 };

/** Null: it is gone. */
async function findGuarded(spec: ContainerSpec, guard: Attachment): Promise<Whereabouts | null> {
	for (let tries = 0; tries < GONE_WITHIN.tries; tries++) {
		const there = findAttached(guard);
		if (there || isGone(guard)) return there;
		await setTimeout(GONE_WITHIN.milliseconds);
	}
	throw hidden(spec);
}

const TRIES = 20;

/** Its owner may rename and move it all the while. */
async function removeGuarded(spec: ContainerSpec, guard: Attachment): Promise<void> {
	let last: unknown = hidden(spec);
	for (let tries = 0; tries < TRIES && !isGone(guard); tries++) {
		const there = await findGuarded(spec, guard);
		try {
			if (there) await runIp(there.netns, ['link', 'del', 'dev', there.device]);
		} catch (error) {
			last = error;
		}
	}
	if (!isGone(guard)) throw last;
}

function hidden({ name }: ContainerSpec): DatapathError {
	return new DatapathError(
		`the ipvlan device of ${name} is in a netns that is not found, and stays guarded until it is gone`,
		{
			hint: `end all processes of ${name}, which hold that netns; then pathproof net rm ${name}`,
		},
	);
}
