/**
 * A tracer that is none of ours agrees, hop by hop: bpftrace, on the same datagrams at the same time.
 *
 * It looks where the table below says and shares none with ours: where the kernel has a second place to see a thing at,
 * it is that one. It finds the nonce at the packet's end and not behind its headers, namespaces by `stat`, drop reasons
 * by what tracefs prints. It cannot see which programs ran, nor what they said but for a redirect: the kernel inlines
 * what calls them. So the names of programs and how they are attached are left out of the comparison, and nothing else.
 */
import { expect, type Hop, type Lab, type Trace, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { compareWays, formatRows } from '../support/trace/compare.ts';
import type { Step } from '../support/trace/path.ts';

/** A packet at one of bpftrace's probes. */
interface Seen {
	time: number;
	nonce: string;
	probe: string;
	netns: string;
	device: string;
	/** the owning socket is still attached */
	socket: boolean;
	/** of a drop: the function, and the reason, which is the function where the kernel has none */
	function: string;
	reason: string;
}

interface Probe {
	at: string;
	/** in bpftrace's words: the packet, and the device that it is at or the socket that has it */
	skb: string;
	device?: string;
	sock?: string;
	/** null: no hop */
	hop(seen: Seen): string | null;
}

const ITS_DEVICE = '((struct sk_buff *)arg0)->dev';
const TRACED = { skb: 'args.skbaddr', device: '((struct sk_buff *)args.skbaddr)->dev' } as const;
const DROP = 'tracepoint:skb:kfree_skb';

/** The two eth0 are a wire's ends, which stands for a cable: what it queues is no backlog. */
const WIRE = ['host:eth0', 'peer:eth0'];

const PROBES: readonly Probe[] = [
	// the drivers themselves
	{ at: 'kprobe:veth_xmit', skb: 'arg0', device: 'arg1', hop: sends },
	{ at: 'kprobe:netkit_xmit', skb: 'arg0', device: 'arg1', hop: sends },
	{
		at: 'tracepoint:net:netif_rx',
		...TRACED,
		hop: (seen) => (WIRE.includes(place(seen)) ? null : `${seen.netns} backlog`),
	},
	{ at: 'tracepoint:net:netif_receive_skb', ...TRACED, hop: receives },
	{ at: 'kprobe:skb_do_redirect', skb: 'arg0', device: ITS_DEVICE, hop: (seen) => `${place(seen)} ingress → redirect` },
	{ at: 'kprobe:ipv6_rcv', skb: 'arg0', device: 'arg1', hop: stackReceives('ip6') },
	{ at: 'kprobe:ip_rcv', skb: 'arg0', device: 'arg1', hop: stackReceives('ip') },
	{ at: 'kprobe:ip6_forward', skb: 'arg0', device: ITS_DEVICE, hop: ({ netns }) => `${netns} ip6 forward` },
	{ at: 'kprobe:ip_forward', skb: 'arg0', device: ITS_DEVICE, hop: ({ netns }) => `${netns} ip forward` },
	// the receiving program has read it
	{ at: 'kprobe:skb_consume_udp', skb: 'arg1', sock: 'arg0', hop: ({ netns }) => `${netns} udp deliver` },
	{ at: DROP, ...TRACED, hop: (seen) => `drop ${seen.reason} by ${seen.function}` },
];

function place({ netns, device }: Seen): string {
	return `${netns}:${device}`;
}

function sends(seen: Seen): string {
	return `${place(seen)} xmit`;
}

function receives(seen: Seen): string {
	return `${place(seen)} receive`;
}

/** Of the host a hop of its own. At the ends the device received it; after redirect_peer only the stack tells of that. */
function stackReceives(family: 'ip' | 'ip6'): (seen: Seen) => string {
	return (seen) => (seen.netns === 'host' ? `host ${family} receive` : receives(seen));
}

const NONCE_SIZE = 16;
const UDP = 17;

/** Only UDP: the ICMP error that quotes a dropped datagram has the nonce at its end as well. */
function scriptOf(probes: readonly Probe[], hasReasons: boolean): string {
	const actions = probes.map(({ at, skb, device, sock }) => {
		const [net, name] = sock
			? [`((struct sock *)${sock})->__sk_common.skc_net.net`, '"-"']
			: [`((struct net_device *)${device})->nd_net.net`, `((struct net_device *)${device})->name`];
		const [from, reason] = at === DROP ? ['ksym(args.location)', hasReasons ? 'args.reason' : '0'] : ['"-"', '0'];
		return `${at} {
			$skb = (struct sk_buff *)${skb};
			$ip = kptr($skb->head + $skb->network_header);
			$nonce = str(kptr($skb->head + $skb->tail - ${NONCE_SIZE}), ${NONCE_SIZE + 1});
			if (($ip[0] >> 4 == 6 ? $ip[6] : $ip[9]) == ${UDP} && strncmp($nonce, "pathproof-", 10) == 0) {
				printf("seen %llu %s ${at} %u %s %d %s %d\\n",
					nsecs, $nonce, ${net}->ns.inum, ${name}, $skb->sk != 0, ${from}, ${reason});
			}
		}`;
	});
	return ['BEGIN { printf("ready\\n"); }', ...actions].join('\n');
}

/** LLVM takes a minute to start where the CPU is emulated and the machine busy. */
const PATIENCE = 180_000;

/** What bpftrace saw of these datagrams, in time, and our traces of them. */
async function watch(lab: Lab, datagrams: readonly Datagram[]): Promise<{ traces: Trace[]; seen: Seen[] }> {
	const { vm, state } = lab;
	const format = await vm.exec(['cat', '/sys/kernel/tracing/events/skb/kfree_skb/format']);
	const reasons = new Map([...format.stdout.matchAll(/\{ (\d+), "(\w+)" \}/g)].map(([, code, name]) => [code, name]));
	const probes = PROBES.filter(({ at }) => at !== 'kprobe:netkit_xmit' || state.options.device.startsWith('netkit'));
	const script = scriptOf(probes, reasons.size > 0);
	await using bpftrace = await vm.spawn(['bpftrace', '-e', script]);
	await bpftrace.waitFor(/^ready$/, PATIENCE);
	const traces: Trace[] = [];
	for (const send of datagrams) traces.push(await send(lab));
	// what it has not read when it is told to end, it never prints
	for (const { nonce } of traces.flatMap(({ packets }) => packets))
		await bpftrace.waitFor(new RegExp(`${nonce} (kprobe:skb_consume_udp|${DROP})`));
	await bpftrace.kill('SIGINT');
	const { stdout, stderr } = await bpftrace.ended;
	expect(stdout + stderr).not.toMatch(/lost|warning|error/i);
	const names = await netnsNames(vm);
	const seen = [...stdout.matchAll(/^seen (.*)$/gm)].map(([, line]): Seen => {
		const [time, nonce, probe, inode, device, socket, from, reason] = line!.split(' ') as [string, ...string[]];
		return {
			time: Number(time),
			nonce: nonce!,
			probe: probe!,
			netns: names.get(inode!) ?? inode!,
			device: device!,
			socket: socket === '1',
			function: from!,
			reason: reasons.get(reason!) ?? from!,
		};
	});
	return { traces, seen: seen.sort((a, b) => a.time - b.time) };
}

async function netnsNames(vm: Lab['vm']): Promise<Map<string, string>> {
	const { stdout } = await vm.exec(['stat', '-Lc', '%i', '/proc/1/ns/net', '/run/netns/web', '/run/netns/peer']);
	const [host, web, peer] = stdout.trim().split('\n') as [string, string, string];
	return new Map([
		[host, 'host'],
		[web, 'web'],
		[peer, 'peer'],
	]);
}

/** The way of one datagram by bpftrace. Two probes may tell of the same hop, one behind the other. */
function oracleWay(seen: readonly Seen[]): Step[] {
	const hops = seen.flatMap((one) => {
		const hop = PROBES.find(({ at }) => at === one.probe)!.hop(one);
		return hop === null ? [] : [comparable(hop, one.socket)];
	});
	return hops.filter(({ hop }, index) => hop !== hops[index - 1]?.hop);
}

/** The same of ours, without what bpftrace cannot see. */
function ourWay(hops: readonly Hop[]): Step[] {
	return hops.map(({ hop, verdict, symbol, socket }) => {
		const more = verdict ? ` → ${verdict}` : hop.startsWith('drop ') ? ` by ${symbol}` : '';
		return comparable(hop + more, socket);
	});
}

function comparable(hop: string, socket: boolean): Step {
	return { hop: socket ? `${hop}, with its socket` : hop, attach: null, program: null, verdict: null };
}

/** Nothing, or both ways side by side. */
function disagreement(trace: Trace, seen: readonly Seen[]): string[] {
	return trace.packets.flatMap(({ nonce, hops }) => {
		const { same, rows } = compareWays(oracleWay(seen.filter((one) => one.nonce === nonce)), ourWay(hops));
		return same ? [] : formatRows(rows, { left: `${nonce} by bpftrace`, right: 'by pathproof' });
	});
}

const LABS = [
	{ device: 'veth', forward: 'redirect' },
	{ device: 'netkit', forward: 'redirect' },
	{ device: 'veth', forward: 'stack' },
] as const;

type Datagram = (lab: Lab) => Promise<Trace>;

const DATAGRAMS: readonly Datagram[] = [
	({ web, peer }) => web.udp(peer, 53),
	({ web, peer }) => peer.udp(web, 53),
	({ web, peer }) => web.udp(peer, 53, { family: 4 }),
	({ web, peer }) => peer.udp(web, 53, { family: 4 }),
	({ web, peer }) => web.udp(peer, 53, { listen: false }),
	({ web, peer }) => peer.udp(web, 53, { family: 4, listen: false }),
];
const FATES = ['delivered', 'delivered', 'delivered', 'delivered', 'dropped', 'dropped'];

for (const { device, forward } of LABS) {
	test(`bpftrace saw each datagram take the same hops through ${device}, ${forward}`, {
		tags: [FULL],
		timeout: 2 * PATIENCE,
	}, async ({ lab, requires }) => {
		await requires('modules', device);
		const { traces, seen } = await watch(await lab({ device, forward }), DATAGRAMS);
		expect(traces.flatMap(({ packets }) => packets.map(({ fate }) => fate))).toEqual(FATES);
		expect(traces.flatMap((trace) => disagreement(trace, seen)).join('\n')).toBe('');
	});
}
