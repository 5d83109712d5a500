/** Which files a list of kernel modules comes down to, from what depmod and the kernel's build wrote beside them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Kernel } from './kernel.ts';

export interface ModuleIndex {
	/** path of each module below `lib/modules/RELEASE`, by name with underscores */
	files: Map<string, string>;
	/** the names that a module directly or indirectly needs */
	needs: Map<string, string[]>;
	/** empty where the packages do not say: modules.builtin is in none of them from 7.2 on */
	builtin: Set<string>;
}

export interface ModuleClosure {
	/** paths below `lib/modules/RELEASE`, what is needed before what needs it, each once */
	files: string[];
	/** declared, but neither a module nor built in */
	missing: string[];
}

/** `dep` and `builtin` as in `modules.dep` and `modules.builtin`. */
export function parseModules(dep: string, builtin: string): ModuleIndex {
	const index: ModuleIndex = { files: new Map(), needs: new Map(), builtin: new Set(lines(builtin).map(moduleName)) };
	for (const line of lines(dep)) {
		const [path = '', needs = ''] = line.split(':');
		index.files.set(moduleName(path), path);
		index.needs.set(moduleName(path), needs.split(' ').filter(Boolean).map(moduleName));
	}
	return index;
}

/** The files of `names` and of all they need. */
export function moduleClosure(index: ModuleIndex, names: readonly string[]): ModuleClosure {
	const files = new Set<string>();
	const missing: string[] = [];
	const add = (name: string) => {
		const path = index.files.get(name);
		if (!path) {
			if (!index.builtin.has(name)) missing.push(name);
			return;
		}
		if (files.has(path)) return;
		for (const needed of index.needs.get(name) ?? []) add(needed);
		files.add(path);
	};
	for (const name of names) add(name);
	return { files: [...files], missing };
}

/** A kernel without modules has no list of what is built in either: its index is null. A build tree has one. */
export function moduleIndex(kernel: Kernel): ModuleIndex | null {
	const folder = modulesFolder(kernel);
	if (folder) return parseModules(read(folder, 'modules.dep'), read(folder, 'modules.builtin'));
	return kernel.kdir ? parseModules('', read(kernel.kdir, 'modules.builtin')) : null;
}

function read(folder: string, name: string): string {
	const path = join(folder, name);
	return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

export function modulesFolder({ modulesRoot, release }: Kernel): string | null {
	return modulesRoot && join(modulesRoot, 'lib/modules', release);
}

function moduleName(path: string): string {
	const file = path.slice(path.lastIndexOf('/') + 1);
	return file.replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');
}

function lines(text: string): string[] {
	return text.split('\n').filter(Boolean);
}
