/** Captures read back by tshark, which is none of ours. */
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { pcapng } from './pcapng.ts';
import { event, hop, packet } from './sample.ts';
import type { Hop, PacketPath } from './types.ts';

const META = { hardware: 'qemu, tcg', os: 'linux 7.3.4' };

/** `2001:db8:0:2::10` port 40000 to `2001:db8:0:1::2` port 53, eight bytes of zeros. */
const UDP6 = Buffer.from(
	'6000000000101140 20010db8000000020000000000000010 20010db8000000010000000000000002 9c400035001029e6 0000000000000000'.replaceAll(
		' ',
		'',
	),
	'hex',
);
/** An echo request of `192.0.2.1` to `192.0.2.2`: 84 bytes, of which 28 were captured. */
const PING4 = Buffer.from('45000054000040004001b6a6c0000201c0000202 0800f7fd00010001'.replaceAll(' ', ''), 'hex');

/** What was seen at a hop. */
const seen = ({ time, symbol, netns, device }: Hop, bytes: Uint8Array) => event(symbol, { time, netns, device, bytes });

const DATAGRAM_HOPS = [
	hop('web:eth0 xmit', { device: 'eth0', time: 37_685_348_734 }),
	hop('host:web ingress', {
		device: 'web',
		symbol: 'bpf_prog',
		time: 37_686_476_963,
		attach: 'netkit',
		program: 'egress_neigh',
		verdict: 'redirect',
		mark: 0x2a,
	}),
	hop('peer udp deliver', {
		device: 'eth0',
		symbol: '__udp_enqueue_schedule_skb',
		time: 37_957_482_974,
		socket: false,
		softirq: true,
	}),
] as const;
const [SENT, REDIRECTED, DELIVERED] = DATAGRAM_HOPS;

const { packet: tuple, ...rest } = packet(DATAGRAM_HOPS);
const DATAGRAM: PacketPath = {
	...rest,
	packet: { ...tuple, detail: 'datagram 1' },
	events: [
		seen(SENT, UDP6),
		// a note between two hops is none of the capture's packets
		seen({ ...SENT, time: 37_685_999_999, symbol: 'ip6_output' }, UDP6),
		seen(REDIRECTED, UDP6),
		// behind what the IP header counts there may be padding of the wire
		seen(DELIVERED, Buffer.concat([UDP6, Buffer.alloc(4)])),
	],
};

const DROPPED = hop('drop IP_OUTNOROUTES', { netns: 'host', symbol: 'ip_output', time: 37_686_000_000, socket: false });
const PING = packet([DROPPED], {
	direction: 'in',
	packet: { ...tuple, family: 4, protocol: 'icmp', detail: 'echo request seq 1' },
	events: [seen(DROPPED, PING4)],
});

/** In a file, since tshark takes its input from no socket, which is what a child of Node's has for a pipe. */
async function read(capture: Uint8Array, program: 'tshark' | 'capinfos', ...words: string[]): Promise<string> {
	await using dir = await mkdtempDisposable(join(tmpdir(), 'pathproof-capture-'));
	const file = join(dir.path, 'path.pcapng');
	await writeFile(file, capture);
	return (await execa(program, program === 'tshark' ? ['-r', file, ...words] : [...words, file])).stdout;
}

async function fieldsOf(capture: Uint8Array, ...fields: string[]): Promise<string[]> {
	const words = fields.flatMap((field) => ['-e', field]);
	return (await read(capture, 'tshark', '-T', 'fields', '-E', 'separator=|', ...words)).split('\n');
}

describe('a capture, as tshark reads it', { timeout: 30_000 }, () => {
	const capture = pcapng([DATAGRAM, PING], META);

	test('has a packet for each hop, in time, with a comment, at the interface of its place', async () => {
		expect(await fieldsOf(capture, 'frame.time_epoch', 'frame.interface_name', 'frame.comment')).toEqual([
			"37.685348734|web:eth0|out datagram 1, hop 1 of 3: web:eth0 xmit · socket · sender's context",
			"37.686000000|host|in echo request seq 1, hop 1 of 1: drop IP_OUTNOROUTES · by ip_output · no socket · sender's context",
			"37.686476963|host:web|out datagram 1, hop 2 of 3: host:web ingress[netkit egress_neigh → redirect] · socket · sender's context · mark 0x2a",
			'37.957482974|peer:eth0|out datagram 1, hop 3 of 3: peer udp deliver · no socket · softirq',
		]);
	});

	test('has the bytes that the packet had, and says how many there were', async () => {
		const columns = ['frame.cap_len', 'frame.len', 'frame.protocols', 'ip.src', 'ipv6.src', 'udp.dstport'];
		const datagram = '56|56|raw:ipv6:udp:dns||2001:db8:0:2::10|53';
		expect(await fieldsOf(capture, ...columns)).toEqual([
			datagram,
			'28|84|raw:ip:icmp|192.0.2.1||',
			datagram,
			datagram,
		]);
	});

	test('says what it was made with', async () => {
		const stdout = await read(capture, 'capinfos', '-F', '-I');
		for (const said of [
			/^Capture hardware: +qemu, tcg$/m,
			/^Capture oper-sys: +linux 7\.3\.4$/m,
			/^Capture application: +pathproof$/m,
			/^Number of interfaces in file: 4$/m,
			/Name = host:web/,
			/Time precision = nanoseconds \(9\)/,
		])
			expect(stdout).toMatch(said);
	});

	test('of nothing is a capture all the same', async () => {
		expect(await fieldsOf(pcapng([], META), 'frame.number')).toEqual(['']);
	});
});

test('a packet without the events of its hops is refused', () => {
	expect(() => pcapng([{ ...DATAGRAM, events: [] }], META)).toThrow(
		/the hop web:eth0 xmit at 37685348734 ns has no event/,
	);
});
