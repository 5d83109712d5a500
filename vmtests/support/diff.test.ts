import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { diffTraces, readTrace, toComparable } from './diff.ts';
import { HOME } from './payload.ts';
import { diffDocument } from './schema/trace.ts';
import { toText } from './tour/line.ts';

/** As `pathproof trace --json` wrote them: a ping on 6.12 and on 7.3. */
const STACK = join(HOME, 'fixtures/diff/veth-stack.json');
const REDIRECT = join(HOME, 'fixtures/diff/netkit-l3-redirect.json');

const recorded = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
const stack = toComparable(recorded(STACK), STACK);
const redirect = toComparable(recorded(REDIRECT), REDIRECT);

describe('two traces', () => {
	test('stand side by side, the first difference of each direction marked', () => {
		expect(diffTraces(stack, redirect).lines.map(toText).join('\n')).toMatchInlineSnapshot(`
			"out: not the same
			    6.12.117 veth stack  │ 7.3.4 netkit-l3 redirect
			    web:eth0 xmit        │ web:eth0 xmit
			  ≠ host backlog         │ host:web ingress[netkit egress_neigh → redirect]
			  · host:web receive     │
			  · host ip6 receive     │
			  · host ip6 forward     │
			    host:eth0 xmit       │ host:eth0 xmit
			    peer:eth0 receive    │ peer:eth0 receive
			    peer icmp deliver    │ peer icmp deliver

			in: not the same
			    6.12.117 veth stack  │ 7.3.4 netkit-l3 redirect
			    peer:eth0 xmit       │ peer:eth0 xmit
			    host:eth0 receive    │ host:eth0 receive
			  ≠ host ip6 receive     │ host:eth0 ingress[tcx ingress_peer → redirect]
			  · host ip6 forward     │
			  · host:web xmit        │
			  · web backlog          │
			    web:eth0 receive     │ web:eth0 receive
			    web icmp deliver     │ web icmp deliver"
		`);
	});

	test('make a document that says where they part', () => {
		const { same, a, b, ways } = diffTraces(stack, redirect).document;
		expect({ same, a, b }).toEqual({
			same: false,
			a: { kernel: '6.12.117', device: 'veth', forward: 'stack' },
			b: { kernel: '7.3.4', device: 'netkit-l3', forward: 'redirect' },
		});
		expect(ways.map(({ direction, same }) => [direction, same])).toEqual([
			['out', false],
			['in', false],
		]);
		expect(ways[0]!.rows.find(({ same }) => !same)).toEqual({
			a: { hop: 'host backlog', attach: null, program: null, verdict: null },
			b: { hop: 'host:web ingress', attach: 'netkit', program: 'egress_neigh', verdict: 'redirect' },
			same: false,
		});
	});

	test('are the same where only kernel and attachment differ', () => {
		const older = recorded(REDIRECT);
		older.kernel = '6.1.170';
		for (const { hops } of older.packets) for (const hop of hops) if (hop.attach) hop.attach = 'clsact';
		const { document, lines } = diffTraces(redirect, toComparable(older, 'older'));
		expect(document.same).toBe(true);
		expect(lines.map(toText).slice(0, 4)).toEqual([
			'out: the same',
			'    7.3.4 netkit-l3 redirect                          │ 6.1.170 netkit-l3 redirect',
			'    web:eth0 xmit                                     │ web:eth0 xmit',
			'    host:web ingress[netkit egress_neigh → redirect]  │ host:web ingress[clsact egress_neigh → redirect]',
		]);
	});

	test('may be live ones, which have neither device nor forward', () => {
		const { device: _, forward: __, ...live } = recorded(STACK);
		expect(diffTraces(stack, toComparable(live, 'live')).document).toMatchObject({
			same: true,
			b: { kernel: '6.12.117', device: null, forward: null },
		});
	});
});

describe('what cannot be compared is refused', () => {
	test('text that is no trace', () => {
		expect(() => readTrace('{', 'mine.json')).toThrow('mine.json is no JSON');
		expect(() => readTrace('{"schema":1}', 'mine.json')).toThrow('mine.json is no trace that can be compared');
		expect(() => toComparable({ ...recorded(STACK), packets: [] }, 'mine.json')).toThrow('no packet was traced');
	});

	test('a trace that missed something', () => {
		const lossy = recorded(STACK);
		lossy.packets[1].lostEvents = 3;
		expect(() => toComparable(lossy, 'mine.json')).toThrow('mine.json: 3 events were lost');
	});
});

describe('pathproof diff', () => {
	const diff = (words: readonly string[], input = '') =>
		execa(join(HOME, 'ci/pathproof'), ['diff', ...words], { reject: false, input, env: { NO_COLOR: '1' } });

	test('exits with 0 where both are the same, one of them from stdin', async () => {
		const { exitCode, stdout } = await diff([STACK, '-'], readFileSync(STACK, 'utf8'));
		expect({ exitCode, first: stdout.split('\n')[0] }).toEqual({ exitCode: 0, first: 'out: the same' });
	});

	test('exits with 1 where they are not, and prints the document on request', async () => {
		const { exitCode, stdout } = await diff([STACK, REDIRECT, '--json']);
		expect(exitCode).toBe(1);
		expect(diffDocument.parse(JSON.parse(stdout)).same).toBe(false);
	});

	test.each([
		['nothing', '"nothing" is neither a file nor a lab'],
		['6.12/veth/sideways', '"veth/sideways" is no lab'],
		['6.12,7.3/veth/stack', '"6.12,7.3" names 2 kernels where one is wanted'],
		[join(HOME, 'README.md'), 'README.md is no JSON'],
	])('exits with 2 for %s', async (wrong, why) => {
		const { exitCode, stderr } = await diff([STACK, wrong]);
		expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(why) });
	});
});
