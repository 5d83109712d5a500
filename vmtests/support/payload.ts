/**
 * What goes into a guest after its fork: `impl/` and the guest's side of this framework with all they import, types stripped, so
 * that the guest need not; and the compiled BPF objects. Editing any of it never touches a kernel's snapshot.
 */
import { globSync, readFileSync } from 'node:fs';
import { findPackageJSON, stripTypeScriptTypes } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { keyOf } from '../../kernels/cache.ts';
import { PathproofError } from '../../kernels/errors.ts';

export interface Payload {
	/** by path relative to the repository */
	files: Record<string, string | Uint8Array>;
	/** stands for all of them */
	key: string;
}

/** This package: where `impl/` and `bpf/` lie, also when a stranger's tests run. */
export const HOME = join(import.meta.dirname, '../..');

const ENTRIES = ['impl/**/*.ts', 'vmtests/support/guest/**/*.{ts,mjs}'];
const NOT_IN_GUEST = ['**/*.test.ts'];
/** What the command line in the guest wants beside `node:` and what is there already (kernels/root.ts). */
const PACKAGES = ['commander', 'cli-table3'];

/** The modules of the guest and all that they import of this package, by path, as plain JavaScript. */
export function packModules(home: string = HOME, entries: readonly string[] = ENTRIES): Record<string, string> {
	const packed: Record<string, string> = {};
	const waiting = globSync([...entries], { cwd: home, exclude: NOT_IN_GUEST });
	for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
		if (path in packed) continue;
		const source = readFileSync(join(home, path), 'utf8');
		const plain = path.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
		packed[path] = plain;
		for (const imported of relativeImports(plain)) waiting.push(normalize(join(dirname(path), imported)));
	}
	return Object.fromEntries(Object.entries(packed).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A package as npm installed it here, and all that it cannot do without, below `node_modules/`. */
export function packPackage(name: string, base: string = import.meta.url): Record<string, string> {
	const manifest = findPackageJSON(name, base);
	if (!manifest)
		throw new PathproofError(`the package ${name} is not installed`, { stage: 'setup', hint: 'npm install' });
	const root = dirname(manifest);
	const files = globSync('**/*.{js,cjs,mjs,json}', { cwd: root, exclude: ['node_modules/**', '**/*.d.ts'] });
	const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as { dependencies?: object };
	return Object.assign(
		Object.fromEntries(files.map((file) => [`node_modules/${name}/${file}`, readFileSync(join(root, file), 'utf8')])),
		...Object.keys(dependencies).map((one) => packPackage(one, manifest)),
	);
}

/** What a module without types imports by a relative path, statically or not. */
export function relativeImports(source: string): string[] {
	return Array.from(
		source.matchAll(/\b(?:from|import)\s*\(?\s*(?<quote>['"])(?<path>\.{1,2}\/[^'"]+)\k<quote>/g),
		({ groups }) => groups!.path!,
	);
}

/** Modules and BPF objects in one, with a key that stands for their content. */
export async function packPayload(objects: () => Promise<Record<string, Uint8Array>>): Promise<Payload> {
	const files: Payload['files'] = Object.assign(
		packModules(),
		...PACKAGES.map((name) => packPackage(name)),
		await objects(),
	);
	const content = Object.entries(files).map(([path, data]) => [
		path,
		typeof data === 'string' ? data : Buffer.from(data).toString('base64'),
	]);
	return { files, key: keyOf('payload', content) };
}
