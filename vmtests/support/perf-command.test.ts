/** What needs no guest. */
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { HOME } from './payload.ts';

const perf = (words: readonly string[]) =>
	execa(`${HOME}/ci/pathproof`, ['perf', ...words], { reject: false, stdin: 'ignore', env: { NO_COLOR: '1' } });

test('perf --help names its options, and the size of the workload that budgets are kept of', {
	timeout: 60_000,
}, async () => {
	const { exitCode, stdout } = await perf(['--help']);
	expect(exitCode).toBe(0);
	for (const option of [
		'--kernel',
		'--workload',
		'--device',
		'--forks',
		'--accept',
		'--svg',
		'--others',
		'--verifier',
		'--growth',
		'--json',
	])
		expect(stdout).toContain(`  ${option} `);
	const words = stdout.replace(/\s+/g, ' ');
	expect(words).toContain('connections, each with one request under way (default: 500)');
	expect(words).toContain('of client and server each (default: 36)');
	expect(words).toContain('that are counted, a multiple of the flows (default: 1000)');
});

test.for([
	[
		['--transactions', '750'],
		/750 transactions of 500 flows: the window would not end as it begins \[usage\]\ntry: --transactions 1000/,
	],
	[['--flows', '0'], /a whole number from 1 on/],
	[['--device', 'macvlan'], /argument 'macvlan' is invalid\. Allowed choices are none, veth, netkit-l2/],
	[['--workload', 'http'], /argument 'http' is invalid\. Allowed choices are tcp_rr, udp_rr, tcp_crr/],
	[['--svg', '/nowhere/perf.svg'], /there is no folder for \/nowhere\/perf\.svg \[usage\]\ntry: mkdir -p \/nowhere/],
	[['--verifier', '--device', 'veth'], /option '--verifier' cannot be used with option '--device <name\.\.\.>'/],
	[['--growth', '--flows', '10'], /option '--growth' cannot be used with option '--flows <n>'/],
	[['--growth', '--svg', '/nowhere/growth.svg'], /there is no folder for \/nowhere\/growth\.svg/],
	[['--kernel', '6.21'], /6\.21/],
] as const)('perf %j is a wrong call', { timeout: 60_000 }, async ([words, said]) => {
	const { exitCode, stdout, stderr } = await perf(words);
	expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 2, stdout: '', stderr: expect.stringMatching(said) });
});
