import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packModules, relativeImports } from './payload.ts';

test('a module goes to the guest without its types, with all that it imports and no more', () => {
	const home = mkdtempSync(join(tmpdir(), 'pathproof-payload-'));
	onTestFinished(() => rmSync(home, { recursive: true }));
	const write = (name: string, text: string) => writeFileSync(join(home, name), text);
	write('a.ts', "import type { Never } from './types.ts';\nimport { b } from './b.ts';\nexport const a: number = b;\n");
	write('b.ts', "import 'node:fs';\nexport const b = 1;\nawait import('./c.ts');\n");
	write('c.ts', 'export {};\n');
	write('types.ts', 'export type Never = never;\n');
	write('a.test.ts', 'export {};\n');
	expect(packModules(home, ['a*.ts'])).toEqual({
		'a.ts': "                                        \nimport { b } from './b.ts';\nexport const a         = b;\n",
		'b.ts': "import 'node:fs';\nexport const b = 1;\nawait import('./c.ts');\n",
		'c.ts': 'export {};\n',
	});
});

test('imports are found however they are written', () => {
	const source = `import './a.ts'; import { b } from "../b.ts"; export * from './c.ts';
		import data from './d.json' with { type: 'json' }; const e = import('./e.ts'); import koffi from 'koffi';`;
	expect(relativeImports(source)).toEqual(['./a.ts', '../b.ts', './c.ts', './d.json', './e.ts']);
});
