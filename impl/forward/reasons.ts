/** Why a program of the datapath dropped a packet: enum drop_reason of bpf/include/policy.h, in the same order. */
export const REASONS = [
	'MAY_PASS',
	/** from an address that is not the container's own, or from the wire as if it came from this host */
	'SPOOFED_SOURCE',
	/** to a container of a tenant that neither side allows */
	'FOREIGN_TENANT',
	/** a frame with a VLAN tag */
	'VLAN_TAG',
	/** neither IPv6 nor IPv4 nor ARP */
	'NOT_IP',
	/** IPv4 options, or an IPv6 routing header, or more extension headers than anybody needs */
	'SOURCE_ROUTE',
	/** ARP or neighbour discovery in somebody else's name, or of no use */
	'SPOOFED_NEIGHBOUR',
	/** multicast, broadcast, link-local: nobody beyond the container's own link is meant */
	'LINK_SCOPE',
	/** too short, or not what its own header says it is */
	'MALFORMED',
	/** to a loopback or unspecified address */
	'MARTIAN',
	/** by an uplink that the container does not use */
	'WRONG_UPLINK',
	/** the host has no route to there */
	'NO_ROUTE',
	/** more than the uplink carries in one frame */
	'TOO_BIG',
] as const;
export type Reason = Exclude<(typeof REASONS)[number], 'MAY_PASS'>;
