/** The commands that work with a guest, called as a user calls them. */
import { rmSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'pathproof';
import { cacheDir } from '../../kernels/cache.ts';
import { FULL } from '../support/config.ts';
import { HOME } from '../support/payload.ts';
import { tourDocument, traceDocument } from '../support/schema/trace.ts';

const PATHPROOF = join(HOME, 'ci/pathproof');
const OPTIONS = { reject: false, env: { VITEST: undefined, NO_COLOR: '1' } } as const;

function pathproof(
	words: readonly string[],
	input = '',
): Promise<{ exitCode?: number; stdout: string; stderr: string }> {
	return execa(PATHPROOF, words, { ...OPTIONS, input });
}

test('trace prints the document of one packet each way', async ({ kernel }) => {
	const { exitCode, stdout } = await pathproof(['trace', '--kernel', kernel.request, '--device', 'veth', '--json']);
	expect(exitCode).toBe(0);
	const { packets, ...rest } = traceDocument.parse(JSON.parse(stdout));
	expect(rest).toMatchObject({ kernel: kernel.id, profile: 'functional', device: 'veth', forward: 'redirect' });
	expect(packets.map(({ direction, delivered, packet }) => [direction, delivered, packet.detail])).toEqual([
		['out', true, 'echo request seq 1'],
		['in', true, 'echo reply seq 1'],
	]);
});

test('trace lists, for people, the hops of a datagram that nobody takes', async ({ kernel }) => {
	const words = [
		'trace',
		'--kernel',
		kernel.request,
		'--device',
		'veth',
		'--forward',
		'stack',
		'--stimulus',
		'udp-closed',
	];
	const { exitCode, stdout } = await pathproof(words);
	expect(exitCode).toBe(0);
	expect(stdout).toMatch(/^veth stack, out: udp .* not delivered$/m);
	expect(stdout).toMatch(/^ +\d+ host ip6 forward$/m);
	// 5.10 gives no reasons: there a drop bears the name of the function.
	expect(stdout).toMatch(/^ +\d+ drop (?:NO_SOCKET|__udp6_lib_rcv)$/m);
});

/** One datagram for a port where nobody listens, and an echo request, which no filter of these tests takes. */
const TALK = [
	'sh',
	'-c',
	'ping -6 -c 1 -W 5 2001:db8:0:1::2; printf pathproof-abc123 | socat -u - UDP6-SENDTO:[2001:db8:0:1::2]:53',
];

test('trace follows what a command in the container sends, and writes it as a capture', async ({ kernel }) => {
	await using dir = await mkdtempDisposable(join(tmpdir(), 'pathproof-capture-'));
	const capture = join(dir.path, 'udp.pcapng');
	const words = ['trace', '--kernel', kernel.request, '--device', 'veth', '--filter', 'udp port 53'];
	const { exitCode, stdout, stderr } = await pathproof([...words, '--json', '--raw', '--pcap', capture, '--', ...TALK]);
	expect(exitCode).toBe(0);
	expect(stderr).toContain('1 received');
	const { packets } = traceDocument.parse(JSON.parse(stdout));
	expect(packets.map(({ packet, fate, nonce }) => [packet.protocol, fate, nonce])).toEqual([
		['udp', 'dropped', 'pathproof-abc123'],
	]);
	const { hops, events } = packets[0]!;
	expect(events!.map(({ bytes }) => Buffer.from(bytes, 'hex').subarray(-16).toString())).toEqual(
		events!.map(() => 'pathproof-abc123'),
	);
	const fields = ['-T', 'fields', '-e', 'frame.interface_name', '-e', 'frame.comment'];
	const { stdout: read } = await execa('tshark', ['-r', capture, ...fields]);
	const lines = read.split('\n');
	expect(lines[0]).toBe(`web:eth0\tout datagram 1, hop 1 of ${hops.length}: web:eth0 xmit · socket · sender's context`);
	expect(lines.at(-1)).toMatch(
		/^peer:eth0\tout datagram 1, hop (\d) of \1: drop \w+ · by \w*udp\w+ · no socket · softirq$/,
	);
});

test('trace says why a packet was dropped, and leaves out those that were not', async ({ kernel }) => {
	const words = ['trace', '--kernel', kernel.request, '--device', 'veth', '--filter', 'ip6', '--why-dropped'];
	const { exitCode, stdout } = await pathproof([...words, '--', ...TALK]);
	expect(exitCode).toBe(0);
	// 5.10 gives no reasons: there it is the function's name
	expect(stdout).toMatch(
		/^veth redirect, out: udp .* datagram 1: dropped\n {2}where {5}peer:eth0\n {2}reason {4}(?:NO_SOCKET\n {2}function {2}\w*udp\w+\n {2}means {5}no socket is bound to its address and port|__udp6_lib_rcv\n)/m,
	);
	expect(stdout).not.toContain('echo request');
	// the datagram, and that there was nobody; request and reply
	expect(stdout).toMatch(/^packets: 4, not delivered: 1$/m);
});

test('trace prints packets as they finish, until Ctrl-C', async ({ kernel }) => {
	const words = ['trace', '--kernel', kernel.request, '--device', 'veth', '--filter', 'icmp', '--follow'];
	const ping = ['--', 'ping', '-6', '-c', '1000', '2001:db8:0:1::2'];
	const tracing = execa(PATHPROOF, [...words, ...ping], OPTIONS);
	const told: string[] = [];
	for await (const line of tracing) {
		const packet = / (echo \w+ seq \d+): \d hops, delivered$/.exec(line)?.[1];
		if (packet) told.push(packet);
		// a quarter of an hour before its end
		if (packet === 'echo reply seq 2') tracing.kill('SIGINT');
	}
	expect(told.slice(0, 4)).toEqual([
		'echo request seq 1',
		'echo reply seq 1',
		'echo request seq 2',
		'echo reply seq 2',
	]);
	expect((await tracing).exitCode).toBe(130);
});

test.for([
	[['--filter', 'upd'], /"upd" is no filter \[usage\]\ntry: write \[ip\|ip6\] \[tcp\|udp\|icmp\] \[port N\]/],
	[['--container', 'db'], /there is no container db \[usage\]\ntry: use one of web, host, peer/],
	[['--live', '--kernel', '6.12'], /'--live' cannot be used with option '--kernel <kernel>'/],
	[['--follow'], /--follow is for what goes on for a while/],
	[['--stimulus', 'udp', '--', 'true'], /a stimulus and a command are given/],
	[['--json', '--pcap', '-'], /--json and --pcap - are both for stdout/],
] as const)('trace %j is a wrong call', async ([words, said]) => {
	const { exitCode, stdout, stderr } = await pathproof(['trace', ...words]);
	expect({ exitCode, said: stdout + stderr }).toEqual({ exitCode: 2, said: expect.stringMatching(said) });
});

test('a shell takes commands from standard input, beside a lab, and exits with its status', async ({ kernel }) => {
	const commands = [
		'uname -r',
		'command -v tcpdump bpftrace bpftool',
		'ip netns exec web ping -6 -c 1 -W 5 2001:db8:0:1::2 | grep -o "1 received"',
		'exit 7',
	];
	const { exitCode, stdout } = await pathproof(['shell', '--kernel', kernel.request], commands.join('\n'));
	expect(stdout.split('\n')).toEqual([
		kernel.release,
		'/usr/bin/tcpdump',
		'/usr/bin/bpftrace',
		'/usr/sbin/bpftool',
		'1 received',
	]);
	expect(exitCode).toBe(7);
});

test('on a terminal the shell has one of the same size, and the same status at its end', async ({ kernel }) => {
	const shell = `stty rows 20 cols 90; ${PATHPROOF} shell --kernel ${kernel.request} --lab none`;
	const input = 'stty size\nexit 4\n';
	const { exitCode, stdout } = await execa('script', ['-qec', shell, '/dev/null'], { ...OPTIONS, input });
	expect(stdout).toContain('20 90');
	expect(exitCode).toBe(4);
});

test('the guest of a failed test goes on where it was', async ({ kernel, forks }) => {
	const name = `kept by the test of shell ${process.pid}`;
	const vm = await forks.take({ kernel: kernel.request });
	await vm.writeFile('/tmp/evidence', 'left by a failed test');
	await vm.keep(name);
	try {
		const listed = await pathproof(['shell', '--from']);
		expect(listed.stdout.split('\n')).toContain(name.replaceAll(' ', '-'));
		const { exitCode, stdout } = await pathproof(['shell', '--from', name], 'cat /tmp/evidence');
		expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'left by a failed test' });
	} finally {
		rmSync(join(cacheDir(), 'kept', name.replaceAll(' ', '-')), { recursive: true });
	}
});

test('a name that nothing was kept under is a wrong call, and so is a lab that is none', async () => {
	const unknown = await pathproof(['shell', '--from', 'nothing']);
	expect(unknown).toMatchObject({
		exitCode: 2,
		stderr: expect.stringContaining('no failed test was kept as “nothing”'),
	});
	const noLab = await pathproof(['shell', '--lab', 'bridge/redirect']);
	expect(noLab).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('"bridge/redirect" is no lab') });
});

test('the tour shows both ways on each device that the kernel has, and names those that it lacks', {
	tags: [FULL],
}, async ({ kernel }) => {
	const { exitCode, stdout, stderr } = await pathproof(['tour', '--kernel', kernel.request, '--json']);
	expect(exitCode).toBe(0);
	const { traces, traffic, lacking, packets } = tourDocument.parse(JSON.parse(stdout));
	const labs = traces.map(({ device, forward }) => `${device} ${forward}`);
	expect(labs).toEqual(
		lacking.length
			? ['veth redirect', 'veth stack']
			: ['netkit-l3 redirect', 'netkit-l3 stack', 'veth redirect', 'veth stack'],
	);
	expect(packets).toEqual(traces[0]!.packets);
	expect(traffic.map(({ ping, curl }) => [ping.received, curl.status])).toEqual(labs.map(() => [3, 200]));
	for (const { forward, packets: taken } of traces) {
		const forwarded = taken.map(({ hops }) => hops.some(({ hop }) => hop === 'host ip6 forward'));
		expect(forwarded).toEqual(forward === 'stack' ? [true, true] : [false, false]);
	}
	expect(stderr).toMatch(/^boot: a fork of it ran in \d+ ms/m);
});
