/** On a private host of this machine's own kernel. What it lacks, such as ipvlan, is checked in vmtests/state/damage.test.ts. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { lacksPrivateHost, PrivateHost } from '../tls/private-host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // on a machine with much else to do; alone, each is done in a second or two

const lacks = lacksPrivateHost();
let host: PrivateHost;
beforeAll(async () => {
	if (lacks) return;
	host = await PrivateHost.make();
	await host.ip('link add eth0 type veth peer name wire\nlink set eth0 up\nlink set wire up\n');
});
afterAll(() => host?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => skip(lacks !== null, lacks ?? ''));

const libbpf = new URL('../libbpf/attach.ts', import.meta.url);

/** A program of the datapath's, as if somebody else had put it before all that is there. */
const GOES_FIRST = `
import { getPinned, linkProgram, pin } from ${JSON.stringify(libbpf)};
const program = getPinned('/sys/fs/bpf/pathproof/programs/egress_guard');
pin(linkProgram(program, Number(process.argv[1]), 'tcx/ingress', 'first'), '/sys/fs/bpf/stranger');
`;

test('a program that was put before the one that judges is told of, and what to type', async ({ skip }) => {
	const words = ['--device', 'veth', '--forward', 'redirect', '--uplink', 'eth0', '--ipv6', '2001:db8:0:2::10'];
	expect(await host.pathproof('net', 'add', 'web', ...words)).toMatchObject({ code: 0, stderr: '' });
	const { host: end, attachments } = JSON.parse((await host.pathproof('net', 'show', 'web', '--json')).stdout);
	skip(attachments[0].kind !== 'tcx', 'needs TCX (6.6)');
	expect(await host.pathproof('net', 'check')).toMatchObject({ code: 0 });

	await host.done([process.execPath, '--input-type=module', '-e', GOES_FIRST, end.ifindex]);
	const { findings } = JSON.parse((await host.pathproof('net', 'check', '--json')).stdout);
	expect(findings).toEqual([
		{
			container: 'web',
			what: 'egress_neigh on web',
			expected: 'before all others',
			found: expect.stringMatching(/^behind program \d+$/),
			hint: expect.stringMatching(/^bpftool link detach id \d+$/),
		},
	]);
	await host.done(findings[0].hint.split(' '));
	expect(await host.pathproof('net', 'check')).toMatchObject({ code: 0 });
});
