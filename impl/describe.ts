/** What there is on this host, in the lines that `pathproof net` prints. */
import { styleText } from 'node:util';
import { type AttachKind, isOfHost } from './forward/attach.ts';
import type { ContainerView, Finding } from './net.ts';
import type { ContainerRecord } from './state/records.ts';
import { identityWords } from './state/words.ts';

export function describeContainer(view: ContainerView): string[] {
	const { state, spec, host, container, attachments, drops, routes, identity } = view;
	const way = identity ? 'identity' : `${spec.device} ${spec.forward}`;
	const title = `${styleText('bold', spec.name)}  ${way}, tenant ${spec.tenant}`;
	const guarded = spec.guard || identity !== undefined;
	const rows: [string, string[]][] = identity
		? describeIdentity(view)
		: [
				['netns', [container ? `${container.netns} (${container.inode})` : styleText('red', 'gone')]],
				[
					'inside',
					container?.device ? [`${container.device}, MTU ${container.mtu}, ${container.addresses.join(', ')}`] : [],
				],
				['on the host', host ? [`${host.device} (${host.ifindex}), ${host.up ? 'up' : 'down'}, MTU ${host.mtu}`] : []],
				[
					'uplinks',
					spec.uplinks.map(({ device, ipv6NextHop, ipv4NextHop }) =>
						[device, ipv6NextHop, ipv4NextHop].filter(Boolean).join(' → '),
					),
				],
				['allowed', spec.allow],
				[
					'programs',
					attachments.map(
						({ program, kind, device, link, id }) =>
							`${program} on ${device ?? (isOfHost(kind as AttachKind) ? 'this host' : styleText('red', 'a device that is gone'))} (${kind}${link === null ? '' : `, link ${link}`}, program ${id ?? '?'})`,
					),
				],
				['dropped', Object.entries(drops).map(([reason, count]) => `${count} ${reason}`)],
				['routes', routes],
			];
	const indent = Math.max(...rows.map(([word]) => word.length)) + 2;
	return [
		`${title}${state === 'ready' ? '' : styleText('yellow', `  ${state}`)}${guarded ? '' : styleText('yellow', '  unguarded')}`,
		...rows.flatMap(([word, values]) =>
			values.map((value, index) => `  ${styleText('dim', (index ? '' : word).padEnd(indent))}${value}`),
		),
	];
}

function describeIdentity({ spec, attachments, identity }: ContainerView): [string, string[]][] {
	const { cgroup, id, counts } = identity!;
	return [
		['cgroup', [`${cgroup} (${id ?? styleText('red', 'gone')})`]],
		['addresses', [[spec.ipv6, spec.ipv4].filter(Boolean).join(', ')]],
		['asked', identityWords({ ...spec.identity!, cgroup: null })],
		[
			'programs',
			attachments.map(
				({ program, link, id }) => `${program} (link ${link}, program ${id ?? styleText('red', 'detached')})`,
			),
		],
		['counted', Object.entries(counts).flatMap(([what, count]) => (count ? [`${count} ${what}`] : []))],
	];
}

export function describeFinding({ container, what, expected, found, hint }: Finding): string[] {
	return [
		`${styleText('red', '✗')} ${container === null ? '' : `${styleText('bold', container)}: `}${what}`,
		`    ${styleText('dim', 'expected')} ${expected}`,
		`    ${styleText('dim', 'found')}    ${found}`,
		`    ${styleText('dim', 'try:')}     ${hint}`,
	];
}

/** As a table. */
export async function describeList(
	containers: readonly (ContainerRecord['spec'] & Pick<ContainerRecord, 'state'>)[],
): Promise<string> {
	const table = await newTable(['name', 'device', 'forward', 'uplinks', 'IPv6', 'IPv4', 'tenant', '']);
	for (const one of containers) {
		table.push([
			one.name,
			one.device,
			one.identity ? 'identity' : one.forward,
			one.uplinks.map(({ device }) => device).join(', '),
			one.ipv6 ?? '',
			one.ipv4 ?? '',
			[one.tenant, ...one.allow.map((tenant) => `↔ ${tenant}`)].join(' '),
			[
				...(one.state === 'ready' ? [] : [styleText('yellow', one.state)]),
				...(one.guard || one.device === 'none' ? [] : [styleText('yellow', 'unguarded')]),
				...(one.identity?.drained ? [styleText('yellow', 'drained')] : []),
			].join(' '),
		]);
	}
	return table.toString();
}

/** Of rows that need no more than that. */
export async function table(head: string[], rows: readonly (readonly (string | number)[])[]): Promise<string> {
	const lines = await newTable(head);
	lines.push(...rows.map((row) => [...row]));
	return lines.toString();
}

/** Columns and no lines; the library's own colours do not ask whether anybody sees them. */
async function newTable(head: string[]) {
	// Not imported above: to change something needs no table.
	const { default: Table } = await import('cli-table3');
	const lines = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'];
	const edges = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
	return new Table({
		head: head.map((name) => styleText('bold', name)),
		chars: { ...Object.fromEntries([...lines, ...edges].map((name) => [name, ''])), middle: ' ' },
		style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
	});
}
