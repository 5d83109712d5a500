/** What this machine has: its system, its tools and their versions. Only looks; `judge.ts` decides. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseEnv } from 'node:util';
import { execa } from 'execa';
import { isStatic } from '../kernels/elf.ts';
import { SYSTEMS, type System, type Tool } from './systems.ts';

/** One program or file that may serve as a tool. */
export interface Finding {
	path: string;
	/** `10.0.2`; null where it has none, or its answer was not understood */
	version: string | null;
	/** false: it needs shared libraries where it must not */
	usable: boolean;
}

/** Who can install packages: root itself, sudo, or nobody here. */
export type Elevation = 'root' | 'sudo' | 'none';

/** Every program and file that may serve, in the order of preference. */
export async function probe(tool: Tool): Promise<Finding[]> {
	const paths = tool.file ? [tool.file].filter(existsSync) : (tool.programs ?? []).flatMap((name) => which(name) ?? []);
	return Promise.all(paths.map((path) => examine(tool, path)));
}

async function examine(tool: Tool, path: string): Promise<Finding> {
	const usable = !tool.static || isStatic(readFileSync(path));
	if (!tool.version) return { path, version: null, usable };
	return {
		path,
		version: readVersion(tool, tool.file ? readFileSync(path, 'utf8') : await answer(path, tool.ask ?? [])),
		usable,
	};
}

async function answer(path: string, ask: string[]): Promise<string> {
	const { all } = await execa(path, ask, { all: true, reject: false, stdin: 'ignore', timeout: 20_000 });
	return all ?? '';
}

/** `10.0.2` from `QEMU emulator version 10.0.2 (Debian …)`; null where there is none. */
export function readVersion(tool: Tool, text: string): string | null {
	return tool.version?.exec(text)?.slice(1).join('.') ?? null;
}

/** Absolute path of the program on the PATH, or where Debian keeps administrators' programs, which a user's PATH lacks. */
function which(name: string): string | undefined {
	const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), '/usr/sbin', '/sbin'];
	return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false; // that is the answer
	}
}

/** This machine's row, or the name that its /etc/os-release gives itself. */
export function thisSystem(): System | string {
	return findSystem(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '');
}

/** The row for an os-release(5) file, or the name in it. */
export function findSystem(osRelease: string): System | string {
	const { ID, VERSION_CODENAME, PRETTY_NAME } = parseEnv(osRelease);
	return (
		SYSTEMS.find(({ id, codename }) => id === ID && codename === VERSION_CODENAME) ??
		PRETTY_NAME ??
		`an unknown ${process.platform} system`
	);
}

/** Asks sudo only where it will not wait for a password that nobody can type. */
export async function thisElevation(): Promise<Elevation> {
	if (process.getuid?.() === 0) return 'root';
	if (!which('sudo')) return 'none';
	if (process.stdin.isTTY) return 'sudo';
	return (await execa('sudo', ['-n', 'true'], { reject: false })).exitCode === 0 ? 'sudo' : 'none';
}
