/** `pathproof net tls`: which flows of this host's containers go over TLS. What it says of them; what it does is in net.ts. */
import { type Command, Option } from 'commander';
import { asRoot, type Change, change, DRY_RUN, example, JSON_HELP, type Output, print } from '../output.ts';
import { usage } from '../request.ts';
import type { TlsMatch, TlsPolicy } from './policies.ts';

interface MatchOptions {
	to?: string;
	port?: number;
	protocol: TlsMatch['protocol'];
}

const PORT = ['--port <port>', 'of the destination; every port without', parsePort] as const;
const protocol = () => new Option('--protocol <protocol>', 'of the flow').choices(['tcp', 'udp']).default('tcp');

export function registerTls(net: Command): void {
	const tls = net
		.command('tls')
		.description(
			'Send flows of a container over TLS, by the forward proxy beside it (node impl/tls/main.ts): where it has a netns, within that. Nothing goes so by default.',
		);
	tls
		.command('add')
		.description('Turn what goes to a prefix to the forward proxy. The same again changes nothing.')
		.argument('<container>')
		.requiredOption('--to <prefix>', 'where its program means to go, e.g. 2001:db8:f::/48')
		.option(...PORT)
		.addOption(protocol())
		.requiredOption(
			'--proxy <port>',
			"that the proxy listens at: of ::1 and 127.0.0.1, or in a netns of the container's own addresses",
			parsePort,
		)
		.requiredOption(
			'--proxy-cgroup <path>',
			'of the proxy, which asks there where a connection was meant to go, and of a netns sends what is not turned',
		)
		.addOption(
			new Option('--fail <way>', 'where no proxy listens: refuse what goes there, or let it go in clear')
				.choices(['closed', 'open'])
				.default('closed'),
		)
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText(
			'after',
			example(
				'pathproof net tls add web --to 2001:db8:f::/48 --port 443 --proxy 15001 --proxy-cgroup /sys/fs/cgroup/tls-web',
			),
		)
		.action(add);
	tls
		.command('rm')
		.description('Let it go as it is again. What is turned already stays so until it ends.')
		.argument('<container>')
		.option('--to <prefix>', 'the policy of this prefix; all of the container without')
		.option(...PORT)
		.addOption(protocol())
		.option(...DRY_RUN)
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net tls rm web --to 2001:db8:f::/48 --port 443'))
		.action(remove);
	tls
		.command('ls')
		.description('List what goes over TLS, in the order in which it is looked at.')
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net tls ls'))
		.action(list);
	tls
		.command('flows')
		.description('List the flows that are turned to a proxy now.')
		.option(...JSON_HELP)
		.addHelpText('after', example('pathproof net tls flows'))
		.action(flows);
}

type AddOptions = Change & MatchOptions & { to: string; proxy: number; proxyCgroup: string; fail: TlsPolicy['fail'] };

async function add(container: string, { json, dryRun, port = 0, ...policy }: AddOptions): Promise<void> {
	const { addPolicy } = await datapath();
	await change({ json, dryRun }, (how) => addPolicy(container, { ...policy, port: port || null }, how), {
		done: `what ${container} sends to ${policy.to} goes over TLS`,
		nothing: `what ${container} sends to ${policy.to} goes over TLS already`,
	});
}

async function remove(
	container: string,
	{ json, dryRun, to, port = 0, protocol }: Change & MatchOptions,
): Promise<void> {
	if (to === undefined && port) throw usage('a port is named, and no prefix', '--to 2001:db8:f::/48');
	const { removePolicies } = await datapath();
	const match = to === undefined ? null : { to, port: port || null, protocol };
	await change({ json, dryRun }, (how) => removePolicies(container, match, how), {
		done: `what ${container} sends to ${to ?? 'anybody'} goes as it is`,
		nothing: `nothing of ${container} goes over TLS`,
	});
}

async function list({ json }: Output): Promise<void> {
	const { listPolicies } = await datapath();
	const policies = listPolicies();
	if (json) return print({ policies });
	if (!policies.length) return console.log('nothing goes over TLS');
	const { table } = await import('../describe.ts');
	console.log(
		await table(
			['container', 'protocol', 'to', 'port', 'proxy', 'fail'],
			policies.map((one) => [one.container ?? 'gone', one.protocol, one.to, one.port ?? 'every', one.proxy, one.fail]),
		),
	);
}

async function flows({ json }: Output): Promise<void> {
	const { listFlows } = await datapath();
	const found = listFlows();
	if (json) return print({ flows: found });
	if (!found.length) return console.log('no flow is turned to a proxy');
	const { table } = await import('../describe.ts');
	console.log(
		await table(
			['container', 'protocol', 'from', 'to', 'proxy', 'age'],
			found.map((one) => [
				one.container ?? 'gone',
				one.protocol,
				one.source ?? '',
				one.destination,
				one.proxy,
				`${Math.round(one.ageMs / 1000)} s`,
			]),
		),
	);
}

const datapath = () => asRoot(() => import('./net.ts'));

function parsePort(word: string): number {
	const port = /^\d{1,5}$/.test(word) ? Number(word) : 0;
	if (port > 0 && port < 65_536) return port;
	throw usage(`"${word}" is no port`, '1 to 65535');
}
