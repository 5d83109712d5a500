/** `pathproof net`: containers on this very host. What it says of them; what it does is in net.ts. */
import { isIPv4, isIPv6 } from 'node:net';
import { styleText } from 'node:util';
import type { Command } from 'commander';
import { type ContainerRequest, DEVICES, FORWARDS, type Uplink } from './container.ts';
import { DatapathError } from './errors.ts';
import { type AttachKind, isOfHost } from './forward/attach.ts';
import type { PortRange, Serve, Share } from './identity/spec.ts';
import type { ContainerView, Finding } from './net.ts';

interface Output {
	json?: boolean;
}

interface Change extends Output {
	dryRun?: boolean;
}

interface AddOptions extends Change {
	mode: string;
	device?: string;
	forward?: string;
	uplink?: string[];
	ipv6?: string;
	ipv4?: string;
	tenant?: string;
	allow?: string[];
	guard: boolean;
	netns?: string;
	ip?: string[];
	cgroup?: string;
	ports?: PortRange[];
	reserved?: PortRange[];
	share?: Share[];
	serve?: Serve[];
	privateLocalhost?: boolean;
	lowPorts?: boolean;
	raw?: boolean;
}

/** The mode that is used most. */
const DEVICE_ALIASES: Record<string, string> = { netkit: 'netkit-l3', ipvlan: 'ipvlan-l2' };
const DRY_RUN = ['--dry-run', 'change nothing, and print what would be done'] as const;
const JSON_HELP = ['--json', 'print one JSON document'] as const;

export function register(program: Command): void {
	const net = program
		.command('net')
		.description(
			'Containers with a network of their own on this host. As root; what is there lives in the kernel alone.',
		);
	net
		.command('add')
		.description(
			'Give a container a netns, a device, addresses and a way for its packets. The same again changes nothing.',
		)
		.argument('<name>', "of the netns, and of its device's host end: at most 15 characters")
		.option('--mode <mode>', 'netns, or identity: an address in the netns of the host, by its cgroup', 'netns')
		.option('--device <device>', `${DEVICES.join(', ')}; netkit and ipvlan mean netkit-l3 and ipvlan-l2`)
		.option('--forward <forward>', `how its packets pass this host: ${FORWARDS.join(', ')}`)
		.option(
			'--uplink <device,nexthop…>',
			'device of this host, and the next hop of each family where there is one; again for a further one, in order of preference',
			collect,
		)
		.option('--ipv6 <address>', 'without a prefix length')
		.option('--ipv4 <address>', 'without a prefix length')
		.option('--tenant <tenant>', 'containers of one tenant reach each other; its own name without')
		.option('--allow <tenant…>', 'a further tenant that it may talk with', collect)
		.option('--no-guard', 'its packets are not judged')
		.option('--netns <name>', 'of ip netns: use it, and leave it when the container goes; one is made without')
		.option('--ip <address>', 'of either family; again for the other one', collect)
		.option('--cgroup <path>', 'of an identity: use it, and leave it when the container goes; one is made without')
		.option('--ports <ranges>', 'of an identity: what it may bind, e.g. 80,8000-8999; all without', parseRanges)
		.option('--reserved <ranges>', 'of an identity: what it may not bind', parseRanges)
		.option(
			'--share <address,port/protocol…>',
			'of an identity: a port of another address of the host that it may bind',
			(word, before: Share[] = []) => [...before, parseShare(word)],
		)
		.option(
			'--serve <address,port/protocol,own port[,sticky]…>',
			'of an identity: a service that it is behind, for the containers of this host',
			(word, before: Serve[] = []) => [...before, parseServe(word)],
		)
		.option('--private-localhost', 'of an identity: what it binds to a loopback address is out of reach for others')
		.option('--low-ports', 'of an identity: ports below 1024 need no capability')
		.option('--raw', 'of an identity: raw sockets may be made, and may send from any address')
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText(
			'after',
			example(
				'pathproof net add web --device netkit --forward redirect --uplink eth0,2001:db8:0:1::2,192.0.2.2 --ipv6 2001:db8:0:2::10 --ipv4 198.51.100.10',
				'pathproof net add db --mode identity --ip 2001:db8:0:2::20 --cgroup /sys/fs/cgroup/db --ports 5432',
			),
		)
		.action(add);
	net
		.command('rm')
		.description('Take containers away. With the last one goes all that was made on this host.')
		.argument('[name...]')
		.option('--all', 'every container')
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net rm web'))
		.action(remove);
	net
		.command('ls')
		.description('List the containers of this host.')
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net ls'))
		.action(list);
	net
		.command('show')
		.description(
			'What there is of one container: devices, addresses, programs, routes, and what was dropped of its packets.',
		)
		.argument('<name>')
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net show web'))
		.action(show);
	net
		.command('check')
		.description(
			'Compare this host with what its containers were asked to be. Exits 1 where something is not as it should be.',
		)
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net check'))
		.action(check);
	net
		.command('gc')
		.description('Finish or undo what was interrupted, and take away what is dead.')
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net gc --dry-run'))
		.action(collectGarbage);
	net
		.command('upgrade')
		.description("Replace this host's programs with those of this pathproof, each at once, while packets pass.")
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net upgrade'))
		.action(upgrade);
}

async function add(name: string, options: AddOptions): Promise<void> {
	const { json, dryRun, ...words } = options;
	const request = parseRequest(name, words);
	const { addContainer } = await datapath();
	await change({ json, dryRun }, (how) => addContainer(request, how), {
		done: `${name} is there`,
		nothing: `${name} is there already`,
	});
}

function parseRequest(name: string, options: AddOptions): ContainerRequest {
	const {
		mode,
		uplink = [],
		ip = [],
		cgroup,
		ports,
		reserved,
		share,
		serve,
		lowPorts,
		raw,
		privateLocalhost,
		...words
	} = options;
	const wrong = ip.find((address) => !isIPv6(address) && !isIPv4(address));
	if (wrong !== undefined) throw usage(`${wrong} is no address`, '--ip 2001:db8:0:2::10');
	const addresses = { ipv6: ip.find(isIPv6), ipv4: ip.find(isIPv4) };
	const common = {
		...words,
		name,
		...(addresses.ipv6 && { ipv6: addresses.ipv6 }),
		...(addresses.ipv4 && { ipv4: addresses.ipv4 }),
	};
	const identity = { cgroup, ports, reserved, shares: share, serves: serve, lowPorts, raw, privateLocalhost };
	const told = Object.entries(identity).filter(([, value]) => value !== undefined);
	if (mode === 'identity')
		return {
			device: 'none',
			forward: 'native',
			...common,
			guard: false,
			uplinks: uplink.map(parseUplink),
			identity: Object.fromEntries(told),
		} as ContainerRequest;
	if (mode !== 'netns') throw usage(`"${mode}" is no mode`, 'use one of netns, identity');
	if (told.length) throw usage(`${name} has no identity, whose ${told[0]![0]} is told`, '--mode identity');
	const { device, forward } = words;
	if (!device || !forward)
		throw usage(`${name} has no ${device ? 'way for its packets' : 'device'}`, '--device veth --forward redirect');
	return {
		...common,
		device: DEVICE_ALIASES[device] ?? device,
		uplinks: uplink.map(parseUplink),
		...(device === 'none' && { guard: false }),
	} as ContainerRequest;
}

async function remove(names: string[], { all, json, dryRun }: Change & { all?: boolean }): Promise<void> {
	if (all && names.length) throw usage('names and --all are given', 'leave one of them out');
	if (!all && !names.length) throw usage('no container is named', 'pathproof net rm NAME…, or --all');
	const { listContainers, removeContainers } = await datapath();
	const wanted = all ? listContainers().map(({ spec }) => spec.name) : names;
	await change({ json, dryRun }, (how) => removeContainers(wanted, how), {
		done: `${wanted.join(', ')} ${wanted.length === 1 ? 'is' : 'are'} gone`,
		nothing: 'there is no container',
	});
}

async function list({ json }: Output): Promise<void> {
	const { listContainers } = await datapath();
	const containers = listContainers().map(({ state, spec }) => ({ state, ...spec }));
	if (json) return print({ containers });
	if (!containers.length) return console.log('there is no container');
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
			].join(' '),
		]);
	}
	console.log(table.toString());
}

async function show(name: string, { json }: Output): Promise<void> {
	const { showContainer } = await datapath();
	const view = await showContainer(name);
	if (json) return print(view);
	for (const line of describe(view)) console.log(line);
}

async function check({ json }: Output): Promise<void> {
	const { checkHost } = await datapath();
	const findings = await checkHost();
	if (findings.length) process.exitCode = 1;
	if (json) return print({ ok: !findings.length, findings });
	if (!findings.length) return console.log(styleText('green', 'all is as it should be'));
	for (const finding of findings) for (const line of explain(finding)) console.log(line);
}

async function collectGarbage({ json, dryRun }: Change): Promise<void> {
	const { collectGarbage } = await datapath();
	await change({ json, dryRun }, collectGarbage, {
		done: 'this host is clean',
		nothing: 'there is nothing to take away',
	});
}

async function upgrade({ json, dryRun }: Change): Promise<void> {
	const { upgrade } = await datapath();
	await change({ json, dryRun }, upgrade, {
		done: 'the programs of this host are those of this pathproof',
		nothing: 'the programs of this host are those of this pathproof already',
	});
}

/** The steps of a dry run and of a real one are told alike: one as it will be, one as it was. */
async function change(
	{ json, dryRun }: Change,
	act: (how: { dryRun?: true; onStep(what: string): void }) => Promise<unknown>,
	words: { done: string; nothing: string },
): Promise<void> {
	const steps: string[] = [];
	await act({
		...(dryRun && { dryRun }),
		onStep: (what) => {
			steps.push(what);
			if (dryRun && !json) console.log(what);
		},
	});
	if (json) print({ dryRun: dryRun ?? false, changed: !dryRun && steps.length > 0, steps });
	else if (!steps.length) console.log(words.nothing);
	else if (!dryRun) console.log(words.done);
}

function describe(view: ContainerView): string[] {
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
		[
			'programs',
			attachments.map(
				({ program, link, id }) => `${program} (link ${link}, program ${id ?? styleText('red', 'detached')})`,
			),
		],
		['counted', Object.entries(counts).flatMap(([what, count]) => (count ? [`${count} ${what}`] : []))],
	];
}

function explain({ container, what, expected, found, hint }: Finding): string[] {
	return [
		`${styleText('red', '✗')} ${container === null ? '' : `${styleText('bold', container)}: `}${what}`,
		`    ${styleText('dim', 'expected')} ${expected}`,
		`    ${styleText('dim', 'found')}    ${found}`,
		`    ${styleText('dim', 'try:')}     ${hint}`,
	];
}

/** `80,8000-8999` */
function parseRanges(text: string): PortRange[] {
	return text.split(',').map((word) => {
		const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(word) ?? [];
		if (first === undefined) throw usage(`"${word}" is no range of ports`, '--ports 80,8000-8999');
		return { first: Number(first), last: Number(last) };
	});
}

/** `2001:db8::80,443/tcp` */
function parseShare(text: string): Share {
	const [, address, port, protocol] = /^(.+),(\d+)\/(tcp|udp)$/.exec(text) ?? [];
	if (address === undefined) throw usage(`"${text}" is no port to share`, '--share 2001:db8::80,443/tcp');
	return { address, port: Number(port), protocol: protocol as Share['protocol'] };
}

/** `2001:db8::80,443/tcp,8443,sticky` */
function parseServe(text: string): Serve {
	const [, share, to, sticky] = /^(.+\/(?:tcp|udp)),(\d+)(,sticky)?$/.exec(text) ?? [];
	if (share === undefined) throw usage(`"${text}" is no service`, '--serve 2001:db8::80,443/tcp,8443');
	return { ...parseShare(share), to: Number(to), sticky: sticky !== undefined };
}

/** `eth0`, `eth0,2001:db8:0:1::2,192.0.2.2`: next hops in either order. */
export function parseUplink(text: string): Uplink {
	const [device, ...hops] = text.split(',');
	const wrong = hops.find((hop) => hop && !isIPv6(hop) && !isIPv4(hop));
	const six = hops.filter(isIPv6);
	const four = hops.filter(isIPv4);
	if (!device || wrong || six.length > 1 || four.length > 1) {
		throw usage(
			wrong ? `${wrong} is no address of a next hop` : `"${text}" is no uplink`,
			'--uplink eth0,2001:db8:0:1::2,192.0.2.2',
		);
	}
	return { device, ...(six[0] && { ipv6NextHop: six[0] }), ...(four[0] && { ipv4NextHop: four[0] }) };
}

/** Not imported above: --help needs neither libbpf nor root. */
async function datapath(): Promise<typeof import('./net.ts')> {
	if (process.geteuid?.() !== 0)
		throw new DatapathError('the network of this host is changed and looked at by root alone', {
			lacking: true,
			hint: `sudo ${['pathproof', ...process.argv.slice(2)].join(' ')}`,
		});
	return import('./net.ts');
}

function collect(word: string, before: string[] = []): string[] {
	return [...before, word];
}

function usage(message: string, hint: string): DatapathError {
	return new DatapathError(message, { usage: true, hint });
}

function example(...commands: string[]): string {
	return `\nExample:\n  ${commands.join('\n  ')}`;
}

function print(document: object): void {
	console.log(JSON.stringify({ schema: 1, ...document }));
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
