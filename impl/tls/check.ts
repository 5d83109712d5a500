/** Whether what turns a container's flows is what it ought to be. */
import type { ContainerSpec } from '../container.ts';
import type { Finding } from '../state/check.ts';
import { lookAtTlsLink, tlsLinks } from './links.ts';
import { hasRow, netnsRow, proxyOf } from './netns.ts';
import { lostAliasRoutes } from './netns-plan.ts';
import { whereIs } from './places.ts';
import { ownerOf, programsFor } from './plan.ts';
import { readPolicies } from './policies.ts';

export async function checkTls(spec: ContainerSpec): Promise<Finding[]> {
	const own = ownerOf(spec);
	const policies = readPolicies().filter(({ owner }) => owner === own);
	const [policy] = policies;
	if (!policy) return [];
	const links = tlsLinks(spec.name).map(lookAtTlsLink);
	const lack = (what: string, expected: string, found: string, hint?: string): Finding => ({
		container: spec.name,
		what,
		expected,
		found,
		hint:
			hint ??
			`pathproof net tls add ${spec.name} --to ${policy.to} --proxy ${policy.proxy} --proxy-cgroup PATH, as before`,
	});
	return [
		...programsFor(spec, policies)
			.filter((program) => !links.some((link) => link.program === program && link.running !== null))
			.map((program) =>
				lack(
					`${program} on ${whereIs(spec, program)}`,
					'attached',
					links.some((link) => link.program === program) ? 'its link is detached' : 'not attached',
				),
			),
		...(spec.identity ? [] : await checkNetns(spec, lack)),
	];
}

async function checkNetns(
	spec: ContainerSpec,
	lack: (what: string, expected: string, found: string, hint?: string) => Finding,
): Promise<Finding[]> {
	const proxy = proxyOf(spec);
	const row = proxy === null ? null : await netnsRow(spec, proxy);
	return [
		...(row && hasRow(row)
			? []
			: [lack('its row of the map tls_ns', row?.value.toString('hex') ?? 'of its netns', 'another, or none')]),
		...(await lostAliasRoutes(spec)).map((command) =>
			lack('a route of the aliases', 'in its netns', 'no such route', command),
		),
	];
}
