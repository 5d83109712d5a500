/** What a host has of containers: `pathproof net`. */
import { z } from 'zod';
import { DEVICES, FORWARDS } from '../types.ts';
import { count, version } from './words.ts';

const sharedPort = z.strictObject({ address: z.string(), port: count, protocol: z.enum(['tcp', 'udp']) });
const portRanges = z.array(z.strictObject({ first: count, last: count }));
/** `pathproof net`: what a container was asked to be. */
export const containerDocument = z.strictObject({
	name: z.string(),
	device: z.enum(DEVICES),
	forward: z.enum(FORWARDS),
	uplinks: z
		.array(
			z.strictObject({ device: z.string(), ipv6NextHop: z.string().optional(), ipv4NextHop: z.string().optional() }),
		)
		.describe('in order of preference'),
	ipv6: z.string().nullable(),
	ipv4: z.string().nullable(),
	tenant: z.string(),
	allow: z.array(z.string()).describe('tenants that it may talk with'),
	guard: z.boolean().describe('its packets are judged'),
	netns: z.string().nullable().describe('null: made with it, bearing its name'),
	identity: z
		.strictObject({
			cgroup: z.string().nullable().describe('null: made with it, bearing its name'),
			ports: portRanges.describe('that may be bound; none: all'),
			reserved: portRanges.describe('that may not'),
			shares: z.array(sharedPort).describe('ports of addresses other than its own'),
			serves: z
				.array(sharedPort.extend({ to: count.describe('its own port'), sticky: z.boolean() }))
				.describe('services that it is behind'),
			drained: z.boolean().describe('nobody new is sent to it by them'),
			lowPorts: z.boolean().describe('ports below 1024 need no capability'),
			raw: z.boolean().describe('raw sockets may be made'),
			privateLocalhost: z.boolean().describe('what is bound to a loopback address is out of reach for others'),
			countUdp: z.boolean().describe('bytes of UDP are counted'),
		})
		.optional()
		.describe("it has its addresses by its cgroup, in the host's netns"),
});
const containerState = z
	.enum(['adding', 'ready', 'removing'])
	.describe('not ready: who began that was interrupted, or is at it');

export const netChangeDocument = z
	.strictObject({
		schema: version,
		dryRun: z.boolean(),
		changed: z.boolean().describe('false of a dry run, and where all was as asked already'),
		steps: z.array(z.string()).describe('in order; as one would type it, where there is a command for it'),
	})
	.describe('pathproof net add|rm|gc|upgrade --json, net tls add|rm --json');

export const netLsDocument = z
	.strictObject({ schema: version, containers: z.array(containerDocument.extend({ state: containerState })) })
	.describe('pathproof net ls --json');

export const netShowDocument = z
	.strictObject({
		schema: version,
		state: containerState,
		spec: containerDocument,
		host: z
			.strictObject({ device: z.string(), ifindex: count, mtu: count, up: z.boolean() })
			.nullable()
			.describe("its device's end on the host"),
		container: z
			.strictObject({
				netns: z.string(),
				inode: count.describe('by which the kernel knows the netns'),
				device: z.string().nullable(),
				ifindex: count.nullable(),
				mtu: count.nullable(),
				addresses: z.array(z.string()),
			})
			.nullable()
			.describe('null: its netns is gone'),
		attachments: z.array(
			z.strictObject({
				program: z.string(),
				kind: z.enum(['netkit', 'tcx', 'clsact', 'tracing', 'output6', 'output4', 'cgroup']),
				device: z
					.string()
					.nullable()
					.describe('null: not in the netns of the host, on the host as a whole, or on a cgroup'),
				link: count.nullable().describe("the link's id; null of a filter"),
				id: count.nullable().describe("the program's; null: attached no more"),
			}),
		),
		identity: z
			.strictObject({
				cgroup: z.string(),
				id: count.nullable().describe('null: it is gone'),
				counts: z.record(z.string(), count).describe('what was asked of its sockets, and what was refused'),
			})
			.optional(),
		drops: z.record(z.string(), count).describe('of its own packets, by reason'),
		routes: z.array(z.string()).describe("the host's, to it, and the rules for what comes from it"),
	})
	.describe('pathproof net show --json');

export const netCheckDocument = z
	.strictObject({
		schema: version,
		ok: z.boolean(),
		findings: z.array(
			z.strictObject({
				container: z.string().nullable().describe('null: of the host as a whole'),
				what: z.string(),
				expected: z.string(),
				found: z.string(),
				hint: z.string().describe('a command that mends it'),
			}),
		),
	})
	.describe('pathproof net check --json');

const ofContainer = z.string().nullable().describe('null: it is gone, and what it left is garbage');

export const netTlsLsDocument = z
	.strictObject({
		schema: version,
		policies: z
			.array(
				z.strictObject({
					container: ofContainer,
					protocol: z.enum(['tcp', 'udp']),
					to: z.string().describe('a prefix'),
					port: z.int().nullable().describe('null: every port'),
					proxy: z.int().describe('the port of the loopback addresses that the forward proxy listens at'),
					fail: z.enum(['closed', 'open']),
				}),
			)
			.describe('in the order in which they are looked at'),
	})
	.describe('pathproof net tls ls --json');

export const netTlsFlowsDocument = z
	.strictObject({
		schema: version,
		flows: z.array(
			z.strictObject({
				container: ofContainer,
				protocol: z.enum(['tcp', 'udp']),
				source: z
					.string()
					.nullable()
					.describe('of the program; null: of UDP, and of TCP before the kernel has chosen its port'),
				destination: z.string().describe('where the program meant to go'),
				proxy: z.int(),
				ageMs: z.int().describe('since it began; of a socket that is not connected, since it sent'),
			}),
		),
	})
	.describe('pathproof net tls flows --json');
