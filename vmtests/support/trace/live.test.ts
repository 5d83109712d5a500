/** `pathproof trace --live`, on the kernel that runs these tests: what it lets be watched is its own affair. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HOME } from '../payload.ts';
import { liveDocument } from '../schema/trace.ts';

const NETNS = `pathproof-${process.pid}`;
const CAP_BPF = 39n;
const CAP_SYS_ADMIN = 21n;

/** Root, with all that root may do, on a kernel that shows its types. */
function mayTrace(): boolean {
	const capabilities = BigInt(`0x${/^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]}`);
	const may = [CAP_BPF, CAP_SYS_ADMIN].every((bit) => (capabilities >> bit) & 1n);
	return process.getuid!() === 0 && may && existsSync('/sys/kernel/btf/vmlinux');
}

const send = (count: number) =>
	`const socket = require('dgram').createSocket('udp4');
	let left = ${count};
	const next = () => left-- ? socket.send('pathproof-abc123', 53, '127.0.0.1', () => setTimeout(next, 300)) : socket.close();
	next();`;

function traceLive(words: readonly string[], under: readonly string[] = []) {
	const [program, ...args] = [...under, process.execPath, join(HOME, 'cli.ts'), 'trace', '--live', ...words];
	return execa(program!, args, { reject: false, stdin: 'ignore', env: { NO_COLOR: '1' } });
}

const INTO = ['--container', NETNS, '--filter', 'ip udp port 53'];
const SENDING = (count: number) => ['--', process.execPath, '-e', send(count)];

describe.runIf(mayTrace())('this host', { timeout: 60_000 }, () => {
	beforeAll(async () => {
		await execa('ip', ['netns', 'add', NETNS]);
		await execa('ip', ['-n', NETNS, 'link', 'set', 'dev', 'lo', 'up']);
	});
	afterAll(() => execa('ip', ['netns', 'del', NETNS]));

	test('is traced by the same tracer: a datagram in a netns of its own, that nobody listens for', async () => {
		const { stdout, exitCode } = await traceLive(['--json', '--why-dropped', '--raw', ...INTO, ...SENDING(1)]);
		expect(exitCode).toBe(0);
		const { packets, watched, unwatched } = liveDocument.parse(JSON.parse(stdout));
		expect(packets).toHaveLength(1);
		const [{ hops, fate, nonce, why, events }] = packets as [(typeof packets)[number]];
		expect({ fate, nonce }).toEqual({ fate: 'dropped', nonce: 'pathproof-abc123' });
		expect(hops.map(({ hop }) => hop)).toEqual(
			expect.arrayContaining([`${NETNS}:lo xmit`, `${NETNS}:lo receive`, expect.stringMatching(/^drop /)]),
		);
		expect(why).toMatchObject({ where: `${NETNS}:lo`, function: expect.stringMatching(/^_*udp/) });
		expect(new Set(events!.map(({ symbol }) => symbol)).difference(new Set(watched))).toEqual(new Set());
		expect(new Set(watched).intersection(new Set(unwatched))).toEqual(new Set());
	});

	test('--follow prints each packet while the command goes on, until Ctrl-C', async () => {
		const tracing = traceLive(['--follow', ...INTO, ...SENDING(1000)]);
		for await (const line of tracing) {
			// five minutes before its end
			if (line.includes(' datagram 2: ')) tracing.kill('SIGINT');
		}
		expect(await tracing).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/ ended with SIGINT$/m) });
	});

	test('--pcap - is a capture, and nothing else is on stdout', async () => {
		const words = ['--pcap', '-', ...INTO, ...SENDING(1)];
		const { stdout } = await execa(process.execPath, [join(HOME, 'cli.ts'), 'trace', '--live', ...words], {
			encoding: 'buffer',
		});
		expect(Buffer.from(stdout).readUInt32LE(0)).toBe(0x0a0d0d0a);
		expect(Buffer.from(stdout).toString('latin1')).toContain(`${NETNS}:lo`);
	});

	test('a netns that is none is a wrong call', async () => {
		expect(await traceLive(['--container', 'nowhere'])).toMatchObject({
			exitCode: 2,
			stderr: expect.stringMatching(/^pathproof: there is no container nowhere \[usage\]\ntry: use one of host, /),
		});
	});

	test('where the kernel lets no BPF in, that is said in one error, and the machine is to blame', async () => {
		const { exitCode, stderr } = await traceLive(['--', 'true'], ['setpriv', '--bounding-set=-all', '--inh-caps=-all']);
		expect(exitCode).toBe(69);
		expect(stderr).toMatch(/^pathproof: linux \S+, which runs this host, cannot be traced: [\s\S]*EPERM/);
		expect(stderr).toMatch(/try: is root without CAP_BPF here/);
	});

	test('is traced by root only', async () => {
		const { exitCode, stderr } = await traceLive(['--', 'true'], ['setpriv', '--reuid=65534', '--clear-groups']);
		expect(exitCode).toBe(69);
		expect(stderr).toMatch(
			/cannot be traced: only root may load BPF programs \[setup\]\ntry: sudo npx pathproof trace --live/,
		);
	});
});
