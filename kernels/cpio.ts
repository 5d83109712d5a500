/** Writes initramfs archives: cpio in the `newc` format, the same bytes for the same content whoever calls. */
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface CpioEntry {
	/** without a leading slash */
	path: string;
	/** file type and permissions, as in `stat` */
	mode: number;
	/** of a file, or the target of a link; a function where it is long */
	data?: string | Uint8Array | (() => Uint8Array);
	/** of a device */
	major?: number;
	minor?: number;
}

export const directory = (path: string): CpioEntry => ({ path, mode: 0o040755 });
export const file = (path: string, data: CpioEntry['data'], mode = 0o644): CpioEntry => ({
	path,
	mode: 0o100000 | mode,
	data,
});
export const link = (path: string, target: string): CpioEntry => ({ path, mode: 0o120777, data: target });
export const device = (path: string, major: number, minor: number): CpioEntry => ({
	path,
	mode: 0o020600,
	major,
	minor,
});

/** Entries for every folder above the given ones, which the kernel does not make by itself, before them. */
export function withFolders(entries: readonly CpioEntry[]): CpioEntry[] {
	const made = new Set(entries.filter(({ mode }) => (mode & 0o170000) === 0o040000).map(({ path }) => path));
	const above = (path: string): CpioEntry[] => {
		const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
		if (!parent || made.has(parent)) return [];
		made.add(parent);
		return [...above(parent), directory(parent)];
	};
	return entries.flatMap((entry) => [...above(entry.path), entry]);
}

/** Everything below `root`, in order of names. Owners become root's. */
export function* treeEntries(root: string, below = ''): Generator<CpioEntry> {
	for (const name of readdirSync(join(root, below)).sort()) {
		const path = below ? `${below}/${name}` : name;
		const whole = join(root, path);
		const stat = lstatSync(whole);
		if (stat.isSymbolicLink()) yield link(path, readlinkSync(whole));
		else if (stat.isFile()) yield { path, mode: stat.mode, data: () => readFileSync(whole) };
		else if (stat.isDirectory()) {
			yield { path, mode: stat.mode };
			yield* treeEntries(root, path);
		}
	}
}

export function writeCpio(to: string, entries: Iterable<CpioEntry>): void {
	const fd = openSync(to, 'w');
	try {
		let inode = 1;
		for (const entry of entries) writeAll(fd, cpioRecord(entry, inode++));
		writeAll(fd, cpioRecord({ path: 'TRAILER!!!', mode: 0 }, 0));
	} finally {
		closeSync(fd);
	}
}

/** One record: header, name and data, each padded to 4 bytes. */
export function cpioRecord({ path, mode, data = '', major = 0, minor = 0 }: CpioEntry, inode: number): Buffer {
	const body = typeof data === 'function' ? data() : Buffer.from(data);
	const name = Buffer.from(`${path}\0`);
	// ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	const fields = [inode, mode, 0, 0, 1, 0, body.length, 0, 0, major, minor, name.length, 0];
	const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
	return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(body)]);
}

function padded(bytes: Uint8Array): Uint8Array {
	const rest = bytes.length % 4;
	return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}

function writeAll(fd: number, bytes: Uint8Array): void {
	for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
