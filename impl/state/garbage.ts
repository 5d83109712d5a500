/** What is on this host and ought not to be: what was interrupted, what is dead, what nobody needs any more. */
import { rmSync } from 'node:fs';
import { addressBytes, deviceName, findDevice, isUp, ownAddresses } from '../addresses.ts';
import { type ContainerSpec, canonical } from '../container.ts';
import { pairKind } from '../devices/device.ts';
import {
	type Attachment,
	attachments,
	detachAll,
	detachOne,
	isGone,
	isOfHost,
	removeUnusedQdiscs,
	unusedQdiscs,
} from '../forward/attach.ts';
import { halfMade, isLoaded, type MapName, unload, withMap } from '../forward/datapath.ts';
import { restoreLinkdown, unusedSwitches } from '../forward/linkdown.ts';
import { replaceRoute } from '../forward/routes.ts';
import { hasSwitched, restoreForwarding } from '../forward/stack.ts';
import { addressesOf, allowedRows, compareHostRows, type Row, slaveOfRow, updateHostRows } from '../forward/tables.ts';
import { cgroupId, cgroupOf } from '../identity/cgroup.ts';
import { mendIdentity } from '../identity/check.ts';
import { detachIdentity, pinnedContainers } from '../identity/links.ts';
import { serviceRows } from '../identity/services.ts';
import { shareRows } from '../identity/tables.ts';
import { hasNetns } from '../netns.ts';
import { holderBehind } from '../plan/holder.ts';
import { unpinStep, unusedObjects } from '../plan/objects.ts';
import { lostRoutes } from '../plan/routes.ts';
import { ipSteps } from '../plan/steps.ts';
import type { Step } from '../step.ts';
import { detachTls, turnedContainers } from '../tls/links.ts';
import { unusedTls } from '../tls/plan.ts';
import { expectedPrograms, isThere } from './attached.ts';
import { type ContainerRecord, readRecords } from './records.ts';

export interface Garbage {
	/** whose it is, where that is known */
	container: string | null;
	what: string;
	found: string;
	/** of what ought to be there */
	expected?: string;
	/** of a container that goes as a whole */
	record?: ContainerRecord;
	/** of what is not a container */
	steps: Step[];
}

export async function garbage(): Promise<Garbage[]> {
	const records = readRecords();
	const going = records.flatMap((record) => {
		const why = whyDead(record);
		return why ? [{ ...why, container: record.spec.name, record, steps: [] }] : [];
	});
	return [
		// a container that goes takes it along
		...(going.length ? [] : halfMade()).map((path) =>
			single('a half loaded datapath', path, `rm -r ${path}`, () => rmSync(path, { recursive: true })),
		),
		...going,
		// What the last one leaves goes with it.
		...(isLoaded() && (records.length > going.length || !going.length)
			? await leftovers(
					records.map(({ spec }) => spec),
					going.length > 0,
				)
			: []),
		...(await routesBehind(records.filter((record) => !going.some((one) => one.record === record)))),
		// the last: an owner who has taken such an address already makes it fail
		...(going.length ? [] : await heldBehind()),
	];
}

/** An address that the host was given since is any ipvlan container's to take. */
async function heldBehind(): Promise<Garbage[]> {
	const behind = await holderBehind();
	if (!behind) return [];
	const { found, step } = behind;
	return [
		{
			container: null,
			what: "this host's addresses, kept from the slaves of its uplinks",
			expected: 'those that it has',
			found,
			steps: [step],
		},
	];
}

/** An uplink that was set down has lost them, also when it is up again. */
async function routesBehind(records: readonly ContainerRecord[]): Promise<Garbage[]> {
	const lost = await lostRoutes(records.map(({ spec }) => spec));
	if (!lost.length) return [];
	const words = lost.map((route) => replaceRoute(route).replace('route replace ', ''));
	return [
		{
			container: null,
			what: 'the routes by uplinks',
			expected: words.join(', '),
			found: 'no such routes',
			steps: ipSteps(null, lost.map(replaceRoute)),
		},
	];
}

/** What those that live lack, as far as it can be given back to them while their programs run. */
export function mends(): Step[] {
	const living = readRecords().flatMap((record) => (whyDead(record) === null ? record.spec : []));
	return living.flatMap((spec) => (spec.identity ? mendIdentity(spec, living) : []));
}

/** Null: it lives. */
function whyDead({ state, spec }: ContainerRecord): Pick<Garbage, 'what' | 'found'> | null {
	const { name, netns, device } = spec;
	if (state !== 'ready')
		return {
			what: state === 'adding' ? 'was added, and never became whole' : 'was taken away, and some is left',
			found: `its record says ${state}`,
		};
	if (spec.identity && cgroupId(cgroupOf(spec)) === null)
		return { what: 'its cgroup is gone', found: `no ${cgroupOf(spec)}` };
	if (device === 'none') return null;
	if (!hasNetns(netns ?? name)) return { what: 'its netns is gone', found: `no netns ${netns ?? name}` };
	if (pairKind(device) && findDevice(name) === null)
		return { what: 'its device is gone', found: `no device ${name} on the host` };
	return null;
}

/** `all`: those too that go as a whole, and where some do, what hangs on a device that is gone goes with them. */
async function leftovers(all: readonly ContainerSpec[], someGo: boolean): Promise<Garbage[]> {
	if (!all.length) {
		return [
			single('the datapath without a container', 'programs and maps that nobody uses', 'unpin the datapath', () => {
				restoreForwarding();
				restoreLinkdown([]);
				detachAll();
				unload();
			}),
		];
	}
	return [
		// One that was detached by hand has its device still, and is missed there.
		...(someGo
			? []
			: attachments()
					.filter((one) => isGone(one) && deviceName(one.ifindex) === null)
					.map(goneAttachment)),
		...attachments()
			.filter((one) => !isGone(one) && isUnused(one, all))
			.map(unusedAttachment),
		...pinnedContainers()
			.filter((name) => !all.some((one) => one.name === name && one.identity))
			.map(strayIdentity),
		...turnedContainers()
			.filter((name) => !all.some((one) => one.name === name))
			.map(strayTurned),
		...(await unusedTls(all)).map(({ what, run }) => single('flows over TLS', 'of nobody any more', what, run)),
		...staleRows(all, someGo),
		...staleIdentityRows(all),
		...unusedObjects(() => all.values()).map((name) => {
			const { what, run } = unpinStep(name);
			return single(`programs of ${name}`, 'no container needs them', what, run);
		}),
		...hostRowsBehind(all),
		...(unusedQdiscs().length
			? [
					single(
						'a clsact qdisc that was made here',
						'no filter of ours on it',
						'remove the qdiscs that nobody uses',
						removeUnusedQdiscs,
					),
				]
			: []),
		...(hasSwitched() && !all.some(({ forward }) => forward === 'stack')
			? [single('forwarding', 'on, for nobody', 'put forwarding back as it was', restoreForwarding)]
			: []),
		...(unusedSwitches(all).length
			? [
					single('ignore_routes_with_linkdown', 'on, for nobody', 'put back what was asked of dead uplinks', () =>
						restoreLinkdown(all),
					),
				]
			: []),
	];
}

function goneAttachment(one: Attachment): Garbage {
	const { program, ifindex } = one;
	return single(
		`${program} of a device that is gone`,
		`the pin ${one.pin}`,
		`remove the pin of ${program} on device ${ifindex}`,
		() => detachOne(one, true),
	);
}

/** A program of ours on an uplink that no container has, or on the host. Somebody else's, which came by this library, is not judged. */
function isUnused(one: Attachment, specs: readonly ContainerSpec[]): boolean {
	if (!isOfHost(one.kind) && !['ingress_peer', 'uplink_guard', 'uplink_ingress'].includes(one.program)) return false;
	return !specs.some((spec) => expectedPrograms(spec).some((placed) => isThere(one, placed)));
}

function unusedAttachment(one: Attachment): Garbage {
	const device = isOfHost(one.kind) ? 'this host' : (deviceName(one.ifindex) ?? `device ${one.ifindex}`);
	return single(`${one.program} on ${device}`, 'no container needs it', `detach ${one.program} from ${device}`, () =>
		detachOne(one),
	);
}

/** Rows of maps for what is no more. */
function staleRows(specs: readonly ContainerSpec[], someGo: boolean): Garbage[] {
	const addresses = new Set(specs.flatMap(addressesOf).map((address) => addressBytes(address).toString('hex')));
	const allowed = new Set(specs.flatMap(allowedRows).map(({ key }) => key.toString('hex')));
	const slaves = withMap('endpoints', (map) =>
		map.keys().map((key) => {
			const slave = slaveOfRow(map.lookup(key) ?? Buffer.alloc(8));
			return slave && `${slave.uplink} ${slave.id}`;
		}),
	);
	const gone = (key: Buffer) => !someGo && deviceName(key.readUInt32LE(0)) === null;
	const isOfGoneSlave = (key: Buffer) =>
		!someGo && key.readUInt32LE(4) !== 0 && !slaves.includes(`${key.readUInt32LE(0)} ${key.readUInt32LE(4)}`);
	return [
		...rows('containers', 'a device that is gone', gone),
		...rows('drops', 'a device that is gone', (key) => gone(key) || isOfGoneSlave(key)),
		...rows(
			'endpoints',
			'an address that no container has',
			(key, value) => value.readUInt32LE(0) !== 0 && !addresses.has(key.toString('hex')),
		),
		...rows('allowed', 'tenants that no container allows', (key) => !allowed.has(key.toString('hex'))),
	];
}

function strayIdentity(name: string): Garbage {
	return single(
		`programs of an identity ${name}`,
		'no such container',
		`detach the programs of ${name}, which is no container`,
		() => detachIdentity(name),
	);
}

function strayTurned(name: string): Garbage {
	return single(
		`programs that turn flows of ${name}`,
		'no such container',
		`detach the programs that turn flows of ${name}, which is no container`,
		() => detachTls(name),
	);
}

/** The rows of cgroups go with them. */
function staleIdentityRows(specs: readonly ContainerSpec[]): Garbage[] {
	if (!isLoaded('identity')) return [];
	const identities = specs.filter(({ identity }) => identity);
	const keys = (rows: readonly Row[]) => new Set(rows.map(({ key }) => key.toString('hex')));
	const shared = keys(identities.flatMap((spec) => shareRows(spec, 0n)));
	const served = keys(serviceRows(identities));
	return [
		...rows('shares', 'ports that no container shares', (key) => !shared.has(key.toString('hex'))),
		...rows('services', 'services that no container is behind', (key) => !served.has(key.toString('hex'))),
	];
}

/** An uplink that is down has no IPv6 addresses, and is given them again when it is up. Without a device, nobody meets a program. */
function hostRowsBehind(specs: readonly ContainerSpec[]): Garbage[] {
	if (specs.every(({ device }) => device === 'none')) return [];
	if (specs.some(({ uplinks }) => uplinks.some(({ device }) => !isUp(device)))) return [];
	const difference = compareHostRows(ownAddresses());
	const { missing, stale } = difference;
	if (!missing.length && !stale.length) return [];
	const found = [
		...(missing.length ? [`the programs do not know ${missing.map(canonical).join(', ')}`] : []),
		...(stale.length ? [`they know ${stale.length} that it has no more`] : []),
	];
	return [
		single('the addresses of the host', found.join('; '), 'tell the programs the addresses of the host', () =>
			updateHostRows(difference),
		),
	];
}

function rows(map: MapName, of: string, isStale: (key: Buffer, value: Buffer) => boolean): Garbage[] {
	const stale = withMap(map, (open) =>
		open.keys().filter((key) => {
			const value = open.lookup(key);
			return value !== null && isStale(key, value);
		}),
	);
	if (!stale.length) return [];
	const remove = () => withMap(map, (open) => stale.forEach((key) => void open.delete(key)));
	return [
		single(
			`${map}: rows of ${of}`,
			`${stale.length}: ${stale[0]!.toString('hex')}…`,
			`${map}: delete rows of ${of}`,
			remove,
		),
	];
}

function single(what: string, found: string, step: string, run: Step['run']): Garbage {
	return { container: null, what, found, steps: [{ what: step, run }] };
}
