/** A container as one types it. */
import type { ContainerSpec } from '../container.ts';

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
}: ContainerSpec): string {
	return [
		`pathproof net add ${name} --device ${device} --forward ${forward}`,
		...uplinks.map(
			(uplink) => `--uplink ${[uplink.device, uplink.ipv6NextHop, uplink.ipv4NextHop].filter(Boolean).join(',')}`,
		),
		...(ipv6 ? [`--ipv6 ${ipv6}`] : []),
		...(ipv4 ? [`--ipv4 ${ipv4}`] : []),
		...(tenant === name ? [] : [`--tenant ${tenant}`]),
		...allow.map((one) => `--allow ${one}`),
		...(guard || device === 'none' ? [] : ['--no-guard']),
		...(netns === null ? [] : [`--netns ${netns}`]),
	].join(' ');
}
