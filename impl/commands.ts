/** `pathproof net`: containers on this very host. What it says of them; what it does is in net.ts. */
import { styleText } from 'node:util';
import type { Command } from 'commander';
import { DEVICES, FORWARDS } from './container.ts';
import { describeContainer, describeFinding, describeList } from './describe.ts';
import type { Serve, Share } from './identity/spec.ts';
import { asRoot, type Change, change, DRY_RUN, example, JSON_HELP, type Output, print } from './output.ts';
import { parseRanges, parseRequest, parseServe, parseShare, type RequestOptions, usage } from './request.ts';
import { registerTls } from './tls/commands.ts';

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
		.option(
			'--cgroup <path>',
			'of an identity: use it, and leave it when the container goes: of systemd a slice, since it remakes the cgroup of a service at each start; one is made without',
		)
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
		.option('--drained', 'of an identity: it gets nobody by its services before net drain --undo')
		.option('--private-localhost', 'of an identity: what it binds to a loopback address is out of reach for others')
		.option(
			'--count-udp',
			"of an identity: its datagrams' bytes, which the kernel counts for TCP alone: a program sees each packet that it sends or gets",
		)
		.option('--low-ports', 'of an identity: ports below 1024 need no capability')
		.option('--raw', 'of an identity: raw and ICMP (ping) sockets may be made, and may send from any address')
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
		.command('drain')
		.description('Send nobody new to a container by the services that it is behind. Who is connected stays.')
		.argument('<name>')
		.option('--undo', 'send it its share again')
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net drain web'))
		.action(drain);
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
		.description(
			'Finish or undo what was interrupted, take away what is dead, and give identities back what they lack.',
		)
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
	registerTls(net);
}

async function add(name: string, options: Change & RequestOptions): Promise<void> {
	const { json, dryRun, ...words } = options;
	const request = parseRequest(name, words);
	const { addContainer } = await datapath();
	await change({ json, dryRun }, (how) => addContainer(request, how), {
		done: `${name} is there`,
		nothing: `${name} is there already`,
	});
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

async function drain(name: string, { undo = false, json, dryRun }: Change & { undo?: boolean }): Promise<void> {
	const { drainContainer } = await datapath();
	const words = undo ? `${name} is not drained` : `${name} is drained`;
	await change({ json, dryRun }, (how) => drainContainer(name, !undo, how), {
		done: words,
		nothing: `${words} already`,
	});
}

async function list({ json }: Output): Promise<void> {
	const { listContainers } = await datapath();
	const containers = listContainers().map(({ state, spec }) => ({ state, ...spec }));
	if (json) return print({ containers });
	if (!containers.length) return console.log('there is no container');
	console.log(await describeList(containers));
}

async function show(name: string, { json }: Output): Promise<void> {
	const { showContainer } = await datapath();
	const view = await showContainer(name);
	if (json) return print(view);
	for (const line of describeContainer(view)) console.log(line);
}

async function check({ json }: Output): Promise<void> {
	const { checkHost } = await datapath();
	const findings = await checkHost();
	if (findings.length) process.exitCode = 1;
	if (json) return print({ ok: !findings.length, findings });
	if (!findings.length) return console.log(styleText('green', 'all is as it should be'));
	for (const finding of findings) for (const line of describeFinding(finding)) console.log(line);
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

const datapath = () => asRoot(() => import('./net.ts'));

function collect(word: string, before: string[] = []): string[] {
	return [...before, word];
}
