/** Kernels that lack what most have: each boots, or says in one line what it lacks. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { getKernel } from '../../kernels/pull.ts';
import { NOTHING, type Outcome, rowOf, runSuite } from './child.ts';

describe('a kernel without virtio', () => {
	let scratch: string;
	let outcome: Outcome;

	beforeAll(async () => {
		scratch = mkdtempSync(join(tmpdir(), 'pathproof-'));
		const kernel = await withoutVirtio(scratch);
		outcome = await runSuite('plain', {}, kernel);
	});
	afterAll(() => rmSync(scratch, { recursive: true }));

	test('boots from a root in RAM, speaks by a serial line, is forked and traced', () => {
		expect(outcome.rows.filter(({ status }) => status !== 'passed')).toEqual([]);
		expect(outcome.rows).toHaveLength(4);
		expect(outcome.exitCode).toBe(0);
	});

	test('nothing is left behind', () => {
		expect(outcome.left).toEqual(NOTHING);
	});
});

describe('a kernel without BTF', () => {
	let outcome: Outcome;

	beforeAll(async () => {
		outcome = await runSuite('typeless');
	});

	test('lacks what BTF brings, and says so when it is asked', () => {
		expect(rowOf(outcome, 'it is asked for its features all the same')).toMatchObject({ status: 'passed' });
	});

	test('bears no lab: the error names the option it is to be built with', () => {
		expect(rowOf(outcome, 'a lab needs them')).toMatchObject({
			status: 'failed',
			message: expect.stringMatching(
				/there is no \/sys\/kernel\/btf\/vmlinux[\s\S]*\[call, linux 6\.12\.\d+, \w+\]\ntry: a kernel that is built with CONFIG_DEBUG_INFO_BTF=y/,
			),
		});
		expect(outcome.exitCode).toBe(1);
	});

	test('the next test on that kernel passes, and nothing is left behind', () => {
		expect(rowOf(outcome, 'the test after it')).toMatchObject({ status: 'passed' });
		expect(outcome.left).toEqual(NOTHING);
	});
});

/** `VMLINUZ:MODULES`: Debian builds virtio into 6.1 as modules, so its kernel without them is one that never had it. */
async function withoutVirtio(scratch: string): Promise<string> {
	const { vmlinuz, modulesRoot, release } = await getKernel('6.1');
	const modules = join(scratch, 'lib/modules', release);
	mkdirSync(modules, { recursive: true });
	const from = join(modulesRoot!, 'lib/modules', release);
	for (const name of ['kernel', 'modules.order', 'modules.builtin', 'modules.builtin.modinfo'])
		cpSync(join(from, name), join(modules, name), {
			recursive: true,
			preserveTimestamps: true, // the same kernel in each run, and so the same template
			filter: (path) => !/virtio[^/]*$/.test(path),
		});
	return `${vmlinuz}:${modules}`;
}
