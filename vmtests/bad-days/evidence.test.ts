/** What is left of a test that traced packets and failed. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, test } from 'vitest';
import { HOME } from '../support/payload.ts';
import { traceDocument } from '../support/schema/trace.ts';
import { NOTHING, type Outcome, rowOf, runSuite } from './child.ts';

let outcome: Outcome;
beforeAll(async () => {
	outcome = await runSuite('astray');
});

/** The folder that the failure names. */
function evidenceOf(name: string): string {
	const { message = '' } = rowOf(outcome, name) ?? {};
	return /^evidence of what it traced: (.*)$/m.exec(message)?.[1] ?? `none is named: ${message}`;
}

const textOf = (folder: string, file: string) => readFileSync(join(folder, file), 'utf8');
const linesOf = (folder: string, file: string) => textOf(folder, file).trimEnd().split('\n');

async function commentsOf(folder: string): Promise<string[]> {
	const words = ['-r', join(folder, 'path.pcapng'), '-T', 'fields', '-e', 'frame.comment'];
	return (await execa('tshark', words)).stdout.split('\n');
}

describe('a packet that goes another way than its test says', () => {
	let folder: string;
	beforeAll(() => {
		folder = evidenceOf('a packet that goes another way');
	});

	test('leaves a folder that the failure names, below what is wrong and beside the guest', () => {
		expect(rowOf(outcome, 'a packet that goes another way')?.message).toMatch(
			/^Error: a packet did not follow the path\n[\s\S]*\n\nevidence of what it traced: \/.*\/evidence\/6\.12\.\d+-a-packet-that-goes-another-way\nits guest is kept: npx pathproof shell --from "6\.12\.\d+-a-packet-that-goes-another-way"\n/,
		);
		expect(readdirSync(folder).sort()).toEqual([
			'bpftool.json',
			'console.log',
			'dmesg.txt',
			'events.jsonl',
			'path.json',
			'path.pcapng',
			'path.txt',
			'reproduce.sh',
		]);
	});

	test('path.txt begins with the failure, and lists every packet of both traces', () => {
		const text = textOf(folder, 'path.txt');
		expect(text).toMatch(/^a packet did not follow the path\n/);
		expect(text.match(/^linux 6\.12\.\d+ \(\w+\), veth stack, trace \d of 2, packets: \d$/gm)).toHaveLength(2);
		expect(text).toMatch(/^veth stack, out: icmp .* echo request seq 1: 9 hops, delivered\n {3}1 web:eth0 xmit$/m);
		expect(text).toMatch(/^veth stack, in: icmp .* echo reply seq 1: \d hops, delivered$/m);
		expect(text).toMatch(/^veth stack, out: udp .* datagram 1: \d hops, delivered$/m);
	});

	test('path.json is the document of the command line', () => {
		const { device, forward, packets } = traceDocument.parse(JSON.parse(textOf(folder, 'path.json')));
		expect({ device, forward }).toEqual({ device: 'veth', forward: 'stack' });
		expect(packets.map(({ packet, fate }) => `${packet.protocol} ${fate}`)).toEqual([
			'icmp delivered',
			'icmp delivered',
			'udp delivered',
		]);
	});

	test('path.pcapng has a packet for each hop, with the hop as its comment', async () => {
		const { packets } = traceDocument.parse(JSON.parse(textOf(folder, 'path.json')));
		const comments = await commentsOf(folder);
		expect(comments).toHaveLength(packets.flatMap(({ hops }) => hops).length);
		const datagram = comments.filter((comment) => comment.startsWith('out datagram 1, '));
		expect(datagram[0]).toMatch(/^out datagram 1, hop 1 of \d: web:eth0 xmit · socket · sender's context$/);
		expect(datagram.map((comment) => /: ([^·[]+?)(?:\[[^\]]*\])? ·/.exec(comment)![1])).toEqual(
			packets.at(-1)!.hops.map(({ hop }) => hop),
		);
	});

	test('events.jsonl has each event on a line of its own, with the bytes of its packet', () => {
		const events = linesOf(folder, 'events.jsonl').map((line) => JSON.parse(line));
		expect(events.length).toBeGreaterThan(20);
		for (const { symbol, bytes } of events)
			expect({ symbol, bytes }).toEqual({
				symbol: expect.stringMatching(/^\w+$/),
				bytes: expect.stringMatching(/^6[0-9a-f]{79,}$/),
			});
	});

	test('the log of the kernel, and the state of BPF in it, are those of the guest', () => {
		expect(textOf(folder, 'dmesg.txt')).toMatch(/Linux version 6\.12\./);
		const { prog, link, net, map } = JSON.parse(textOf(folder, 'bpftool.json'));
		expect(prog.map(({ name }: { name?: string }) => name)).toContain('on_kfree_skb');
		expect(link.map(({ type }: { type: string }) => type)).toContain('raw_tracepoint');
		expect(map.map(({ name }: { name: string }) => name)).toContain('settings');
		expect(net).toEqual([
			expect.objectContaining({ xdp: [], tc: [expect.objectContaining({ devname: 'web', name: 'egress_guard' })] }),
		]);
	});

	test('reproduce.sh goes on in the guest', async () => {
		const { stdout } = await execa(join(folder, 'reproduce.sh'), { input: 'ip netns list', cwd: HOME });
		expect(stdout.split('\n').map((line) => line.split(' ')[0])).toEqual(expect.arrayContaining(['web', 'peer']));
	});
});

test('where the packets of a stimulus that failed went is evidence too', async () => {
	const folder = evidenceOf('a packet that nobody answers');
	expect(linesOf(folder, 'path.txt')[0]).toMatch(/^ping -6 .* exited with 1/);
	const comments = await commentsOf(folder);
	expect(comments.at(-1)).toMatch(/^out echo request seq 1, hop \d of \d: drop \w+ · by ip6_forward · /);
});

test('a guest that is lost takes nothing away of what was traced in it, and what it does take is said', async () => {
	const name = 'a packet whose guest is lost behind it';
	const folder = evidenceOf(name);
	expect(rowOf(outcome, name)?.message).toMatch(/^PathproofError: QEMU was killed by SIGKILL \[lost, /);
	expect(linesOf(folder, 'missing.txt')).toEqual([
		expect.stringMatching(/^dmesg\.txt: QEMU was killed by SIGKILL/),
		expect.stringMatching(/^bpftool\.json: QEMU was killed by SIGKILL/),
		'reproduce.sh: the guest is not kept: it is lost, or the test has not failed',
	]);
	expect((await commentsOf(folder)).at(-1)).toMatch(/: peer udp deliver · /);
});

test('nothing else is left behind', () => {
	expect(outcome.left).toEqual(NOTHING);
});
