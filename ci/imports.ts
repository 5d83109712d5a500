/** Imports point one way: vmtests → kernels, vmtests → impl → bpf. Run by `npm run check`, and as a unit test. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

interface Room {
	/** what else of the top level it may import */
	folders: string[];
	/** packages that it must not know, except in its unit tests */
	without: string[];
}

/** `ci/` and the files at the root may know everything. */
const ROOMS: Record<string, Room> = {
	bpf: { folders: [], without: ['vitest', 'pathproof'] },
	// Its projects are a stranger's: they import pathproof as its users do.
	fixtures: { folders: [], without: [] },
	// `fixtures/` holds the packages and modules that a guest is made of.
	kernels: { folders: ['fixtures'], without: ['vitest', 'pathproof'] },
	impl: { folders: ['bpf'], without: ['vitest', 'pathproof'] },
	vmtests: { folders: ['kernels', 'impl', 'bpf', 'fixtures'], without: [] },
};

/** What a file of a room imports and must not, each as a sentence. `path` is relative to the root. */
export function wrongImports(path: string, source: string): string[] {
	// A suite among the fixtures is run by vmtests/, and may know what those know.
	const home = /^fixtures\/.*\.test\.ts$/.test(path) ? 'vmtests' : path.split('/')[0]!;
	const room = ROOMS[home];
	if (!room) return [];
	return importsOf(source).flatMap((specifier) => {
		if (specifier.startsWith('node:')) return [];
		if (!specifier.startsWith('.')) {
			const unknown = room.without.some((name) => specifier === name || specifier.startsWith(`${name}/`));
			return unknown && !path.endsWith('.test.ts')
				? [`${path} imports ${specifier}, and ${home}/ must not know it`]
				: [];
		}
		const target = join(dirname(path), specifier);
		const folder = target.split('/')[0]!;
		const allowed = folder === home || room.folders.includes(folder);
		return allowed ? [] : [`${path} imports ${target}, and ${home}/ must not know ${folder}`];
	});
}

/** The specifiers of all static, dynamic and type imports. */
function importsOf(source: string): string[] {
	return [...source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^'\n]+)'/g)].map((match) => match[1]!);
}

/** All wrong imports of the tree below `root`. */
export function checkTree(root: string): string[] {
	const files = globSync(`${root}/{${Object.keys(ROOMS).join(',')}}/**/*.{ts,mjs,js}`);
	return files.sort().flatMap((file) => wrongImports(relative(root, file), readFileSync(file, 'utf8')));
}
