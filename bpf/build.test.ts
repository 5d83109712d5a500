import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { BuildError, bpfKey, bpfSources, buildBpfFile, clangArgs } from './build.ts';

async function scratch(): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), 'pathproof-'));
	onTestFinished(() => rm(dir, { recursive: true }));
	return dir;
}

test('a program is compiled for BPF, with the headers of this machine', () => {
	const args = clangArgs('mine.bpf.c', 'mine.bpf.o', 'x64');
	expect(args.slice(0, 3)).toEqual(['-target', 'bpf', '-D__TARGET_ARCH_x86']);
	expect(args.slice(-4)).toEqual(['-c', 'mine.bpf.c', '-o', 'mine.bpf.o']);
	expect(clangArgs('a', 'b', 'arm64')).toContain('-I/usr/include/aarch64-linux-gnu');
});

test('a machine that no BPF is built on is refused', () => {
	expect(() => clangArgs('a', 'b', 's390x')).toThrow('use one of x64, arm64');
});

test('the key of the programs stays while nothing changes', async () => {
	expect(await bpfKey()).toMatch(/^[0-9a-f]{64}$/);
	expect(await bpfKey()).toBe(await bpfKey());
	expect(await bpfSources()).toContain('redirect.bpf.c');
});

test('a program that does not compile is quoted', async () => {
	const dir = await scratch();
	await writeFile(join(dir, 'broken.bpf.c'), 'int broken(void) { return nonsense; }\n');
	const building = buildBpfFile(join(dir, 'broken.bpf.c'), dir);
	await expect(building).rejects.toThrow(BuildError);
	await expect(building).rejects.toThrow("use of undeclared identifier 'nonsense'");
});

test('a program that compiles is an object beside its name', async () => {
	const dir = await scratch();
	await writeFile(join(dir, 'mine.bpf.c'), 'int mine(void) { return 0; }\n');
	const object = await buildBpfFile(join(dir, 'mine.bpf.c'), dir);
	expect(object).toBe(join(dir, 'mine.bpf.o'));
	expect(await readdir(dir)).toEqual(['mine.bpf.c', 'mine.bpf.o']);
});
