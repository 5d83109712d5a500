/** `pathproof perf`, called as a user calls it. */
import { readFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'pathproof';
import { FULL } from '../support/config.ts';
import { HOME } from '../support/payload.ts';
import { DOCUMENTS } from '../support/schema/documents.ts';

const PATHPROOF = join(HOME, 'ci/pathproof');
const OPTIONS = { reject: false, env: { VITEST: undefined, NO_COLOR: '1' } } as const;
const SMALL = ['--flows', '20', '--threads', '4', '--transactions', '200'];

test('perf prints what a transaction costs over a device, beside none, and draws it', {
	tags: [FULL],
	timeout: 900_000,
}, async ({ kernel }) => {
	await using dir = await mkdtempDisposable(join(tmpdir(), 'pathproof-perf-'));
	const svg = join(dir.path, 'perf.svg');
	const words = ['perf', '--kernel', kernel.request, '--device', 'veth', ...SMALL, '--svg', svg, '--json'];
	const { exitCode, stdout } = await execa(PATHPROOF, words, OPTIONS);
	const { rows, workload } = DOCUMENTS.perf.parse(JSON.parse(stdout));
	expect(workload).toMatchObject({ name: 'tcp_rr', flows: 20, threads: 4, bytes: 1, transactions: 200 });
	const labs = ['none native', 'veth stack', 'veth redirect', 'veth fib'];
	expect(rows.map(({ device, forward }) => `${device} ${forward}`)).toEqual(labs);
	const [none, stack, redirect] = rows;
	expect(none).toMatchObject({ overNone: 0, talk: 0, added: 0, backlogHops: 0, programs: {} });
	// the stack of the host, and a second backlog, cost more than the two programs that stand in for them
	expect(redirect!.softirq).toBeGreaterThan(1.2 * none!.softirq);
	expect(stack!.softirq).toBeGreaterThan(1.5 * redirect!.softirq);
	expect([stack!.backlogHops, redirect!.backlogHops]).toEqual([1, 0]);
	expect(Object.keys(redirect!.programs)).toEqual(['egress_neigh', 'ingress_peer']);
	for (const { total, instructionsPerTransaction, peer, other } of rows)
		expect(instructionsPerTransaction + peer + other).toBeCloseTo(total, 0);
	// no budget is kept of so small a workload
	expect(rows.map(({ budget }) => budget)).toEqual([null, null, null, null]);
	expect(exitCode).toBe(0);
	const picture = readFileSync(svg, 'utf8');
	for (const lab of labs) expect(picture).toContain(`>${lab}</text>`);
});

test('perf --verifier prints what each program takes, of each kernel beside the other', async ({ kernel }) => {
	const { exitCode, stdout } = await execa(PATHPROOF, ['perf', '--verifier', '--kernel', kernel.request], OPTIONS);
	expect(stdout).toMatch(new RegExp(`^│ program +│ +${kernel.id.replaceAll('.', '\\.')} │$`, 'm'));
	expect(stdout).toMatch(/^│ ingress_peer +│ +\d+ \/ \d+ │$/m);
	expect(exitCode).toBe(0);
});
