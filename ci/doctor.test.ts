import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { oldQemu } from '../vmtests/support/old-qemu.ts';
import { DOCUMENTS } from '../vmtests/support/schema/documents.ts';
import { thisSystem } from './probe.ts';

const cli = fileURLToPath(new URL('../cli.ts', import.meta.url));
const pathproof = (args: string[], env: Record<string, string> = {}) =>
	execa(process.execPath, [cli, ...args], { env, reject: false, stdin: 'ignore' });

describe('pathproof doctor', { timeout: 30_000 }, () => {
	test('finds this machine in order', async () => {
		const { stdout, exitCode } = await pathproof(['doctor', '--json']);
		expect(DOCUMENTS.doctor.parse(JSON.parse(stdout))).toMatchObject({ schema: 1, ok: true });
		expect(exitCode).toBe(0);
	});

	const system = thisSystem();
	const runsOldQemu = typeof system !== 'string' && system.codename === 'bookworm';
	test.runIf(runsOldQemu)('refuses QEMU 7.2 on the PATH, and says why', { timeout: 120_000 }, async () => {
		const { stdout, exitCode } = await pathproof(['doctor', '--json'], {
			PATH: `${await oldQemu()}:${process.env.PATH}`,
		});
		const { ok, tools } = JSON.parse(stdout);
		const qemu = tools.find(({ name }: { name: string }) => name === 'QEMU');
		expect({ exitCode, ok, found: qemu.found }).toEqual({
			exitCode: 69,
			ok: false,
			found: expect.stringMatching(/^7\.2\./),
		});
		expect(qemu.problem).toMatch(/and 10\.0 is needed: under TCG, QEMU 7\.2 corrupts guest memory with -smp 2/);
	});

	test('lists all that is lacking on an empty PATH, each with what mends it', async () => {
		const { stdout, exitCode } = await pathproof(['doctor', '--json'], { PATH: '/nowhere' });
		const lacking = JSON.parse(stdout).tools.filter(({ ok }: { ok: boolean }) => !ok);
		expect(exitCode).toBe(69);
		expect(lacking.map(({ name }: { name: string }) => name)).toEqual(
			expect.arrayContaining(['QEMU', 'virtme-ng', 'mmdebstrap', 'mkfs.erofs', 'clang', 'static busybox', 'xz']),
		);
		for (const { problem, mend } of lacking) {
			expect(problem).toBe('not found');
			expect(mend).toMatch(/^(apt-get install|npx pathproof doctor --fix|install) /);
		}
	});
});

describe('the command line', { timeout: 30_000 }, () => {
	test('suggests the nearest command for an unknown one, and exits with 2', async () => {
		const { stdout, stderr, exitCode } = await pathproof(['docter', '--json']);
		expect(stderr).toContain('Did you mean doctor?');
		expect(JSON.parse(stdout)).toEqual({
			schema: 1,
			error: { stage: 'usage', message: expect.stringContaining("unknown command 'docter'"), hint: 'pathproof --help' },
		});
		expect(exitCode).toBe(2);
	});

	test('has a help for each command of the container network, with an example', async () => {
		const commands = ['add', 'rm', 'ls', 'show', 'check', 'gc', 'upgrade'];
		const helps = await Promise.all(commands.map((command) => pathproof(['net', command, '--help'])));
		for (const [index, command] of commands.entries())
			expect(helps[index]).toMatchObject({
				exitCode: 0,
				stdout: expect.stringContaining(`Example:\n  pathproof net ${command}`),
			});
	});

	test('exits with 2 for an unknown option, with 0 for --help', async () => {
		expect(await pathproof(['doctor', '--jsn'])).toMatchObject({ exitCode: 2, stdout: '' });
		expect(await pathproof(['doctor', '--help'])).toMatchObject({ exitCode: 0, stderr: '' });
	});
});
