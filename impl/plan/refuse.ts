/** What cannot be done on this host, said before anything is begun. */
import { addressBytes, deviceIndex, findDevice } from '../addresses.ts';
import { type ContainerSpec, netnsOf } from '../container.ts';
import { INNER } from '../devices/device.ts';
import { isIpvlan } from '../devices/ipvlan.ts';
import { DatapathError } from '../errors.ts';
import { hasPeerEgress } from '../forward/abilities.ts';
import { isLoaded, refuseOtherVersion } from '../forward/datapath.ts';
import { addressesOf, isEndpoint } from '../forward/tables.ts';
import { refuseClaims } from '../identity/claims.ts';
import { ipJson } from '../ip/ip.ts';
import { hasNetns } from '../netns.ts';
import type { Others } from '../state/records.ts';

/** `hosts`: the addresses of this host. Throws a DatapathError. */
export function refuse(spec: ContainerSpec, others: Others, hosts: readonly string[]): void {
	refuseOtherVersion();
	for (const { device } of spec.uplinks) deviceIndex(device);
	if (spec.forward === 'redirect-egress' && !hasPeerEgress())
		throw new DatapathError('this kernel lacks redirect-peer-egress: bpf_redirect_peer with BPF_F_EGRESS (7.3)', {
			hint: '--forward redirect',
		});
	// of the map first: it costs the same whatever the number of the others
	const taken = addressesOf(spec).find(
		(address) =>
			(spec.identity || isEndpoint(address)) && others().some((other) => addressesOf(other).includes(address)),
	);
	if (taken) throw new DatapathError(`${taken} is another container's already`, { hint: 'pathproof net ls' });
	// without, nobody shares or serves anything
	if (spec.identity || isLoaded('identity')) refuseClaims(spec, others(), hosts);
	// an identity's become the host's, and go with it
	if (spec.device !== 'none' || spec.identity) refuseOwn(spec, hosts);
	const owner =
		spec.netns === null
			? undefined
			: others().find((other) => other.device !== 'none' && netnsOf(other) === spec.netns);
	if (owner && spec.device !== 'none')
		throw new DatapathError(`the netns ${spec.netns} is ${owner.name}'s already`, {
			hint: `pathproof net show ${owner.name}`,
		});
	if (spec.netns !== null && !hasNetns(spec.netns))
		throw new DatapathError(`there is no netns ${spec.netns}`, {
			hint: `ip netns add ${spec.netns}, or ip netns attach ${spec.netns} PID`,
		});
	if (isIpvlan(spec.device)) {
		const other = others().find(
			({ device, uplinks }) =>
				isIpvlan(device) && device !== spec.device && uplinks[0]!.device === spec.uplinks[0]!.device,
		);
		if (other)
			throw new DatapathError(`the slaves of ${spec.uplinks[0]!.device} are ${other.device}, as ${other.name} is`, {
				hint: `use ${other.device}, or another uplink: all slaves of one have one mode`,
			});
	}
}

function refuseOwn(spec: ContainerSpec, hosts: readonly string[]): void {
	const own = new Set(hosts.map((address) => addressBytes(address).toString('hex')));
	const host = addressesOf(spec).find((address) => own.has(addressBytes(address).toString('hex')));
	if (host)
		throw new DatapathError(`${host} is this host's own`, {
			hint: 'ip address; give it one that is routed to this host',
		});
}

/** What is there already is somebody's: neither used nor, when something fails, taken away. `begun`: as of planAdd. */
export async function refuseTaken(spec: ContainerSpec, begun: ContainerSpec | null): Promise<void> {
	if (spec.identity) return;
	// of one without a device there is neither
	const before = begun?.device === 'none' ? null : begun;
	const isNetns = spec.netns === null && hasNetns(spec.name) && before?.netns !== null;
	const what = isNetns ? 'netns' : !before && findDevice(spec.name) ? 'device' : null;
	if (what)
		throw new DatapathError(`there is a ${what} ${spec.name} already`, {
			hint:
				what === 'netns' ? `ip netns del ${spec.name}, or another name` : `ip link del ${spec.name}, or another name`,
		});
	if (spec.netns === null || spec.device === 'none' || spec.netns === before?.netns) return;
	const links = await ipJson<{ ifname: string }>(spec.netns, ['link']);
	if (links.some(({ ifname }) => ifname === INNER))
		throw new DatapathError(`there is a device ${INNER} in the netns ${spec.netns} already`, {
			hint: `ip -n ${spec.netns} link`,
		});
}
