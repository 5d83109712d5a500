import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { checkTree, wrongImports } from './imports.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describe('imports point one way', () => {
	test('in this tree', () => {
		expect(checkTree(root)).toEqual([]);
	});

	test('kernels/ knows nothing of the datapath', () => {
		expect(wrongImports('kernels/pool.ts', "import { load } from '../impl/libbpf/objects.ts';")).toEqual([
			'kernels/pool.ts imports impl/libbpf/objects.ts, and kernels/ must not know impl',
		]);
	});

	test('a dynamic import and a type import count too', () => {
		expect(
			wrongImports('impl/ip/ip.ts', "await import('../../kernels/vm.ts'); type T = typeof import('../../cli.ts');"),
		).toEqual([
			'impl/ip/ip.ts imports kernels/vm.ts, and impl/ must not know kernels',
			'impl/ip/ip.ts imports cli.ts, and impl/ must not know cli.ts',
		]);
	});

	test('impl/ knows vitest in its unit tests only', () => {
		const source = "import { test } from 'vitest';";
		expect(wrongImports('impl/ip/ip.ts', source)).toEqual(['impl/ip/ip.ts imports vitest, and impl/ must not know it']);
		expect(wrongImports('impl/ip/ip.test.ts', source)).toEqual([]);
	});

	test('vmtests/ may know kernels/, impl/ and bpf/, and not ci/', () => {
		const source = ['kernels/vm.ts', 'impl/ip/ip.ts', 'ci/doctor.ts'].map((file) => `import '../${file}';`).join('\n');
		expect(wrongImports('vmtests/lab.test.ts', source)).toEqual([
			'vmtests/lab.test.ts imports ci/doctor.ts, and vmtests/ must not know ci',
		]);
	});
});

test('no file names a registry, a mirror, or the folder it was written in', async () => {
	// --no-index: a source archive has no history. The brackets keep this file from finding itself.
	const words = ['registry[.]npmjs', '(deb|ftp[.].*|security)[.]debian[.]org', root];
	const found = await execa('git', ['grep', '--no-index', '--exclude-standard', '-lE', words.join('|')], {
		cwd: root,
		reject: false,
	});
	expect(found).toMatchObject({ stdout: '', exitCode: 1 });
});

test('the lock pins packages by their integrity and names no registry', () => {
	const lock = JSON.parse(readFileSync(`${root}/package-lock.json`, 'utf8')) as { packages: Record<string, object> };
	const { '': _root, ...packages } = lock.packages;
	for (const [name, entry] of Object.entries(packages)) {
		expect(entry, name).toHaveProperty('integrity');
		expect(entry, name).not.toHaveProperty('resolved');
	}
});
