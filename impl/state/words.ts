/** A container as one types it. */
import type { ContainerSpec } from '../container.ts';
import type { IdentitySpec, PortRange } from '../identity/spec.ts';

/** What takes the container away and adds it as it was. */
export function remake(spec: ContainerSpec): string {
	return `pathproof net rm ${spec.name} && ${addCommand(spec)}`;
}

/** The command line that asks for this container. */
export function addCommand({
	name,
	device,
	forward,
	uplinks,
	ipv6,
	ipv4,
	tenant,
	allow,
	guard,
	netns,
	identity,
}: ContainerSpec): string {
	return [
		identity
			? `pathproof net add ${name} --mode identity`
			: `pathproof net add ${name} --device ${device} --forward ${forward}`,
		...uplinks.map(
			(uplink) => `--uplink ${[uplink.device, uplink.ipv6NextHop, uplink.ipv4NextHop].filter(Boolean).join(',')}`,
		),
		...(ipv6 ? [`--${identity ? 'ip' : 'ipv6'} ${ipv6}`] : []),
		...(ipv4 ? [`--${identity ? 'ip' : 'ipv4'} ${ipv4}`] : []),
		...(tenant === name ? [] : [`--tenant ${tenant}`]),
		...allow.map((one) => `--allow ${one}`),
		...(guard || device === 'none' ? [] : ['--no-guard']),
		...(netns === null ? [] : [`--netns ${netns}`]),
		...(identity ? identityWords(identity) : []),
	].join(' ');
}

/** Its options, as they are typed. */
export function identityWords({
	cgroup,
	ports,
	reserved,
	shares,
	serves,
	drained,
	lowPorts,
	raw,
	privateLocalhost,
	countUdp,
}: IdentitySpec): string[] {
	const ranges = (all: readonly PortRange[]) =>
		all.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join();
	return [
		...(cgroup === null ? [] : [`--cgroup ${cgroup}`]),
		...(ports.length ? [`--ports ${ranges(ports)}`] : []),
		...(reserved.length ? [`--reserved ${ranges(reserved)}`] : []),
		...shares.map(({ address, port, protocol }) => `--share ${address},${port}/${protocol}`),
		...serves.map(
			({ address, port, protocol, to, sticky }) =>
				`--serve ${address},${port}/${protocol},${to}${sticky ? ',sticky' : ''}`,
		),
		...(drained ? ['--drained'] : []),
		...(lowPorts ? ['--low-ports'] : []),
		...(raw ? ['--raw'] : []),
		...(privateLocalhost ? ['--private-localhost'] : []),
		...(countUdp ? ['--count-udp'] : []),
	];
}
